"""What keeps a backup or a restoration from being made; each message says what to do."""


class BackupFailed(Exception):
    """Nothing that looks complete was left behind."""


class BadBackup(BackupFailed):
    """The file is no whole backup, or not one that this version can restore."""
