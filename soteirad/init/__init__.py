"""`soteirad init`: finds cameras, tries them and the broker, and writes a first configuration.

Nothing that watches imports it.
"""
