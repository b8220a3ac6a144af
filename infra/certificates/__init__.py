"""Certificates of a development mesh: its own authority, and what that signed, as files in one folder."""

from infra.certificates.folder import EDGE, OPERATOR, Folder, MissingCertificates, ensure
from infra.certificates.shown import NotACertificate, Shown, show

__all__ = ["EDGE", "OPERATOR", "Folder", "MissingCertificates", "NotACertificate", "Shown", "ensure", "show"]
