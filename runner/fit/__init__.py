"""
Whether a training will fit into a device's memory, before anything runs.
"""
