"""What works through items: sources read by a child, calls of steps as processes or in workers that stay, and what is
kept of items in the run's directory. Which item goes where and when is the machine's; here it is only done.
"""
