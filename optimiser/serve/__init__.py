"""The what-if page: a desk where plans are asked for, a shelf of kept variants, and the pages that show both.

Nothing here is imported by the command line before it is needed, and nothing leaves the machine.
"""
