"""The scripted trajectory: six cells as an agent writes them, over one table, with an answer to check."""

import csv
import random

CELLS = [
    "import pandas as pd\nimport numpy as np\nsales = pd.read_csv('data/sales.csv')\nprint(sales.shape)\nsales.head()",
    "print(sales.dtypes)\nprint(sales.isna().sum())",
    "by_region = sales.groupby('region')['amount'].agg(['count', 'mean', 'sum'])\nprint(by_region.round(2))",
    "sales['month'] = pd.to_datetime(sales['day']).dt.month\n"
    "pivot = sales.pivot_table(index='month', columns='product', values='amount', aggfunc='sum')\nprint(pivot.round(1))",
    "large = sales[sales['amount'] > sales['amount'].quantile(0.9)]\n"
    "print(large.groupby('product')['amount'].mean().sort_values(ascending=False))",
    "print(by_region['sum'].idxmax(), int(by_region['count'].sum()))",
]
ROWS = 2000


def write_table(path):
    """Writes the table; the answer that the last cell has to print."""
    draw = random.Random(0)
    totals = {}
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["day", "region", "product", "units", "amount"])
        for number in range(ROWS):
            region = draw.choice(["north", "south", "east", "west"])
            amount = round(draw.lognormvariate(3, 1), 2)
            totals[region] = totals.get(region, 0) + amount
            day = f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}"
            writer.writerow([day, region, draw.choice(["tea", "coffee", "cocoa"]), draw.randint(1, 9), amount])
    return f"{max(totals, key=totals.get)} {ROWS}"
