"""Budgets: how many tokens and how much money a day or a month. Reserve before, count while, settle after."""
