"""What a command does: its graph, where it has one, and the steps that join laptop and cluster; one file per verb.

The only layer that knows both ends. What one end does by itself belongs below; words and printing belong to `cli`.
"""
