# SPDX-License-Identifier: GPL-2.0-or-later
"""What a report says of a number that was measured several times."""

import statistics


def spread(values):
    """(median, lower quartile, upper quartile)."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def figures(values):
    """The same for a report."""
    middle, low, high = spread(values)
    return {"median": middle, "q1": low, "q3": high}
