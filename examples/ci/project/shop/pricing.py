"""What a basket costs: quantity discounts, one voucher, tax shown apart. No storage here."""

from shop import money

TAX = 1_900  # basis points, contained in every price
QUANTITY_DISCOUNTS = ((10, 800), (5, 300))  # from how many of one product, how many basis points


class Line:
    """So many of one product at one price."""

    __slots__ = ("price", "product", "quantity")

    def __init__(self, product, quantity, price):
        if quantity < 1 or price < 0:
            raise ValueError(f"not a line: {quantity} of {product!r} at {price}")
        self.product = product
        self.quantity = quantity
        self.price = price


class Voucher:
    """Takes `cents` off, or `basis_points` of the total, from a least total on; never below nothing."""

    __slots__ = ("basis_points", "cents", "least")

    def __init__(self, cents=0, basis_points=0, least=0):
        self.cents = cents
        self.basis_points = basis_points
        self.least = least

    def off(self, total):
        if total < self.least:
            return 0
        return min(total, self.cents + money.share(total, self.basis_points))


def line_total(line):
    whole = line.quantity * line.price
    for least, basis_points in QUANTITY_DISCOUNTS:
        if line.quantity >= least:
            return whole - money.share(whole, basis_points)
    return whole


def bill(lines, voucher=None):
    """Totals of a basket in cents: `goods`, `off`, `total`, `tax`, and `parts`, what each line comes to."""
    goods = [line_total(line) for line in lines]
    before = sum(goods)
    off = voucher.off(before) if voucher else 0
    total = before - off
    parts = money.split(total, goods) if before else [0] * len(goods)
    tax = total - money.share(total, 100_000_000 // (10_000 + TAX))
    return {"goods": before, "off": off, "total": total, "tax": tax, "parts": parts}
