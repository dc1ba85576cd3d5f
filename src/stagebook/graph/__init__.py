"""What a pipeline's shape says: order, levels, critical path, slack, cycles. Pure: integer lists in, values out."""
