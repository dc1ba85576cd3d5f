"""The text of files that other systems define: YAML as nodes that know their place, so that messages can point at them
and edits leave all else as it is. No key's meaning, no format's name.
"""
