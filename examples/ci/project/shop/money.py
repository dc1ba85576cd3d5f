"""Amounts in whole cents: read, shown, rounded and shared out without losing one."""


def parse(text):
    """`12`, `12.3` or `12.34` as cents. ValueError for anything else, signs and spaces included."""
    euros, point, cents = text.partition(".")
    if not text.isascii() or not euros.isdigit() or (point and not (cents.isdigit() and len(cents) <= 2)):
        raise ValueError(f"not an amount: {text!r}")
    return int(euros) * 100 + int((cents + "00")[:2])


def show(cents):
    """The inverse of `parse`, always with two decimals."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"


def share(cents, basis_points):
    """That many hundredths of a percent of an amount, half a cent to the even side."""
    whole, rest = divmod(cents * basis_points, 10_000)
    if rest > 5_000 or (rest == 5_000 and whole % 2):
        whole += 1
    return whole


def split(cents, weights):
    """An amount in as many parts as there are weights, in proportion; the parts' sum is the amount.

    Cents that are left go to the largest remainders, earlier parts first. ValueError when all weights are 0.
    """
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ValueError(f"cannot share by weights {weights!r}")
    parts = [cents * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(cents * weights[i] % total), i))
    for i in by_remainder[: cents - sum(parts)]:
        parts[i] += 1
    return parts
