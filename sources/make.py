"""Writes the CSV files of the bundled sources, so that their origin can be traced.

    pip install scikit-learn statsmodels pandas
    python sources/make.py

The tables come out of the two packages unchanged but for column names, labels in words instead of codes, and what each function
says. `shop` is made up here from a fixed seed. Versions that wrote the files in the repository: scikit-learn 1.9.1,
statsmodels 0.15.0, pandas 3.1.1.
"""

import datetime
import pathlib
import random

import pandas as pd
import sklearn.datasets
import statsmodels.datasets

HERE = pathlib.Path(__file__).parent


def write(name: str, file: str, table: pd.DataFrame) -> None:
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / file, index=False, lineterminator="\n")


def snake(name: str) -> str:
    return name.replace(" (cm)", "_cm").replace("/", "_per_").replace(" ", "_")


def labelled(load, labels: list[str], target: str) -> pd.DataFrame:
    """A classification set of scikit-learn with its classes in words."""
    table = load(as_frame=True).frame.rename(columns=snake)
    table["target"] = table["target"].map(dict(enumerate(labels)))
    return table.rename(columns={"target": target})


def iris() -> None:
    write("iris", "iris.csv", labelled(sklearn.datasets.load_iris, ["setosa", "versicolor", "virginica"], "species"))


def wine() -> None:
    table = labelled(sklearn.datasets.load_wine, ["cultivar A", "cultivar B", "cultivar C"], "cultivar")
    write("wine", "wine.csv", table.rename(columns={"od280_per_od315_of_diluted_wines": "od280_od315_of_diluted_wines"}))


def breast_cancer() -> None:
    table = labelled(sklearn.datasets.load_breast_cancer, ["malignant", "benign"], "diagnosis")
    write("breast_cancer", "tumours.csv", table)


def diabetes() -> None:
    """The unscaled measurements; sex 1 and 2 stay codes, as their meaning is not documented at the origin."""
    table = sklearn.datasets.load_diabetes(as_frame=True, scaled=False).frame
    names = {"bp": "blood_pressure", "s1": "total_cholesterol", "s2": "ldl", "s3": "hdl", "s4": "cholesterol_hdl_ratio",
             "s5": "log_triglycerides", "s6": "glucose", "target": "progression"}
    table = table.rename(columns=names).astype({"age": int, "sex": int, "progression": int}).round(4)
    write("diabetes", "patients.csv", table)


def sunspots() -> None:
    table = statsmodels.datasets.sunspots.load_pandas().data
    table.columns = ["year", "sunspots"]
    write("sunspots", "sunspots.csv", table.astype({"year": int}))


def co2() -> None:
    """Monthly means of the weekly samples; a month without a sample is interpolated and says `weeks` = 0."""
    weekly = statsmodels.datasets.co2.load_pandas().data["co2"]
    monthly = weekly.resample("MS")
    table = pd.DataFrame({"co2_ppm": monthly.mean().interpolate().round(2), "weeks": monthly.count()})
    table.insert(0, "month", table.index.strftime("%Y-%m-%d"))
    write("co2", "co2_monthly.csv", table)


def macro() -> None:
    table = statsmodels.datasets.macrodata.load_pandas().data
    first_month = (table["quarter"].astype(int) - 1) * 3 + 1
    date = table["year"].astype(int).astype(str) + "-" + first_month.map("{:02d}".format) + "-01"
    table = table.drop(columns=["year", "quarter"])
    table.insert(0, "date", date)
    write("macro", "us_quarterly.csv", table)


def election() -> None:
    """Codes become words; the logarithm of the population, which follows from `popul`, is left out."""
    table = statsmodels.datasets.anes96.load_pandas().data
    lean = ["extremely liberal", "liberal", "slightly liberal", "moderate", "slightly conservative", "conservative",
            "extremely conservative"]
    party = ["strong Democrat", "weak Democrat", "independent-Democrat", "independent", "independent-Republican",
             "weak Republican", "strong Republican"]
    education = ["1-8 grades", "some high school", "high school graduate", "some college", "college degree", "master's degree",
                 "PhD"]
    income = [0, 3, 5, 7, 9, 10, 11, 12, 13, 14, 15, 17, 20, 22, 25, 30, 35, 40, 45, 50, 60, 75, 90, 105]
    out = pd.DataFrame({
        "place_population_thousands": table["popul"].astype(int),
        "tv_news_per_week": table["TVnews"].astype(int),
        "self_placement": table["selfLR"].map(lambda code: lean[int(code) - 1]),
        "clinton_placement": table["ClinLR"].map(lambda code: lean[int(code) - 1]),
        "dole_placement": table["DoleLR"].map(lambda code: lean[int(code) - 1]),
        "party": table["PID"].map(lambda code: party[int(code)]),
        "age": table["age"].astype(int),
        "education": table["educ"].map(lambda code: education[int(code) - 1]),
        "income_from_thousand_usd": table["income"].map(lambda code: income[int(code) - 1]),
        "vote": table["vote"].map(lambda code: ["Clinton", "Dole"][int(code)]),
    })
    write("election", "voters.csv", out)


def investment() -> None:
    table = statsmodels.datasets.grunfeld.load_pandas().data
    table = table.astype({"year": int})[["firm", "year", "invest", "value", "capital"]]
    table["firm"] = table["firm"].map(lambda name: name.decode() if isinstance(name, bytes) else name)
    write("investment", "firms.csv", table)


def elnino() -> None:
    table = statsmodels.datasets.elnino.load_pandas().data
    table.columns = [name.lower() for name in table.columns]
    write("elnino", "sea_surface.csv", table.astype({"year": int}))


def shop() -> None:
    """A made-up shop: two tables, dates, categories, missing values, prices that follow from the other columns."""
    rng = random.Random(20240501)
    countries = ["Austria", "France", "Germany", "Italy", "Spain"]
    day = datetime.timedelta(days=1)
    customers = []
    for number in range(1, 301):
        customers.append({
            "customer_id": f"C{number:04d}",
            "signup_date": (datetime.date(2022, 1, 1) + rng.randrange(540) * day).isoformat(),
            "country": rng.choices(countries, weights=[1, 3, 4, 2, 2])[0],
            "segment": rng.choices(["private", "small business", "enterprise"], weights=[7, 2, 1])[0],
            "birth_year": "" if rng.random() < 0.12 else rng.randint(1948, 2004),
            "newsletter": rng.choice(["yes", "no"]),
        })
    prices = {"books": 14.0, "garden": 38.0, "kitchen": 52.0, "office": 27.0, "toys": 21.0}
    factor = {"private": 1, "small business": 3, "enterprise": 9}
    orders = []
    for number in range(1, 2201):
        customer = rng.choice(customers)
        start = datetime.date.fromisoformat(customer["signup_date"])
        date = start + rng.randrange((datetime.date(2023, 12, 31) - start).days + 1) * day
        category = rng.choice(sorted(prices))
        quantity = max(1, round(rng.expovariate(1 / (1.2 * factor[customer["segment"]]))))
        discount = rng.choices([0, 5, 10, 20], weights=[6, 2, 2, 1])[0]
        price = round(prices[category] * rng.lognormvariate(0, 0.25), 2)
        late = rng.random() < (0.25 if date.month == 12 else 0.08)
        orders.append({
            "order_id": 10000 + number,
            "customer_id": customer["customer_id"],
            "order_date": date.isoformat(),
            "category": category,
            "quantity": quantity,
            "unit_price_eur": f"{price:.2f}",
            "discount_percent": discount,
            "delivery_days": "" if rng.random() < 0.06 else rng.randint(6, 14) if late else rng.randint(1, 5),
            "rating": "" if rng.random() < 0.3 else rng.choices([1, 2, 3, 4, 5], weights=[5, 3, 3, 2, 1] if late else [1, 1, 3, 6, 7])[0],
            "returned": "yes" if rng.random() < (0.15 if category == "toys" else 0.06) else "no",
        })
    orders.sort(key=lambda order: (order["order_date"], order["order_id"]))
    write("shop", "customers.csv", pd.DataFrame(customers))
    write("shop", "orders.csv", pd.DataFrame(orders))


if __name__ == "__main__":
    for make in (iris, wine, breast_cancer, diabetes, sunspots, co2, macro, election, investment, elnino, shop):
        make()
