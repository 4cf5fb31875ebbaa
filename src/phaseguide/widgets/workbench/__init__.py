"""The one dock of Phase Guide: five steps in the order of the work."""
