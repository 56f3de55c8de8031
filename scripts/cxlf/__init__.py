# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands in scripts/ share.  The commands themselves are thin."""
