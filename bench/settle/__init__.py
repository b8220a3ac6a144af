"""Calls settled by two gateways on PostgreSQL, beside one."""
