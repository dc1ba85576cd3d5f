"""Products, stock and orders in SQLite. One transaction an order: it is there as a whole or not at all."""

import sqlite3

from shop import pricing

SCHEMA = """
create table product (
    id integer primary key, name text not null unique, price integer not null check (price >= 0),
    stock integer not null check (stock >= 0)
);
create table customer_order (
    id integer primary key, customer text not null, day text not null, total integer not null, tax integer not null
);
create table line (
    customer_order integer not null references customer_order, product integer not null references product,
    quantity integer not null check (quantity > 0), comes_to integer not null,
    primary key (customer_order, product)
) without rowid;
create index line_by_product on line (product);
"""


class OutOfStock(Exception):
    """Not enough of a product; nothing was taken."""


class Unknown(LookupError):
    """There is no such product or order."""


class Store:
    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        self.db.row_factory = sqlite3.Row
        self.db.execute("pragma journal_mode = wal")
        self.db.execute("pragma synchronous = normal")
        self.db.execute("pragma foreign_keys = on")

    def create(self):
        self.db.executescript(SCHEMA)

    def close(self):
        self.db.close()

    def add_products(self, rows):
        """`rows` are (name, price in cents, stock)."""
        self.db.execute("begin immediate")
        self.db.executemany("insert into product (name, price, stock) values (?, ?, ?)", rows)
        self.db.execute("commit")

    def products(self):
        return [dict(row) for row in self.db.execute("select id, name, price, stock from product order by id")]

    def order(self, customer, day, wanted, voucher=None):
        """Places an order of {product id: quantity} and returns it. OutOfStock or Unknown leave no trace."""
        self.db.execute("begin immediate")
        try:
            lines = [self._take(product, quantity) for product, quantity in sorted(wanted.items())]
            bill = pricing.bill(lines, voucher)
            number = self.db.execute(
                "insert into customer_order (customer, day, total, tax) values (?, ?, ?, ?)",
                (customer, day, bill["total"], bill["tax"]),
            ).lastrowid
            self.db.executemany(
                "insert into line values (?, ?, ?, ?)",
                [(number, line.product, line.quantity, part) for line, part in zip(lines, bill["parts"])],
            )
        except BaseException:
            self.db.execute("rollback")
            raise
        self.db.execute("commit")
        return self.find(number)

    def _take(self, product, quantity):
        row = self.db.execute("select price, stock from product where id = ?", (product,)).fetchone()
        if row is None:
            raise Unknown(f"product {product}")
        if row["stock"] < quantity:
            raise OutOfStock(f"product {product}: {quantity} wanted, {row['stock']} there")
        self.db.execute("update product set stock = stock - ? where id = ?", (quantity, product))
        return pricing.Line(product, quantity, row["price"])

    def find(self, number):
        order = self.db.execute("select * from customer_order where id = ?", (number,)).fetchone()
        if order is None:
            raise Unknown(f"order {number}")
        lines = self.db.execute("select product, quantity, comes_to from line where customer_order = ?", (number,))
        return {**dict(order), "lines": [dict(line) for line in lines]}

    def turnover(self):
        """Cents and pieces by product name, best first."""
        return [
            dict(row)
            for row in self.db.execute(
                "select name, sum(quantity) as pieces, sum(comes_to) as cents"
                " from line join product on product.id = product group by product order by cents desc, name"
            )
        ]
