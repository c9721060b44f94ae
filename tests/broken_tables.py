"""Six tables with what is wrong in them, and a sound one, as columns by name."""

import numpy as np

N = 400


def customers():
    """An identifier, a copy of the target, and a reason filled in afterwards."""
    rng = np.random.default_rng(0)
    months, price = rng.integers(1, 73, N), rng.normal(60, 20, N).round(2)
    left = rng.random(N) < 1 / (1 + np.exp(0.05 * (months - 20)))
    reasons = rng.choice(["price", "service", "moved"], N).astype(object)
    X = {
        "customer_id": np.arange(5001, 5001 + N),
        "months": months,
        "price": price,
        "reason": np.where(left, reasons, None),
        "account_closed": left.astype(int),
    }
    found = {"identifier": {"customer_id"}, "leak": {"reason", "account_closed"}}
    return X, np.where(left, "yes", "no"), found


def export():
    """What spreadsheets write: texts for numbers, question marks, words, spellings."""
    rng = np.random.default_rng(1)
    size = rng.normal(80, 20, N).round(1)
    comma = np.array([str(each).replace(".", ",") for each in size], object)
    age = rng.integers(18, 90, N).astype(object)
    age[rng.random(N) < 0.05] = "unknown"
    floors = rng.integers(1, 6, N).astype(object)
    floors[:7] = "ground"
    city = rng.choice(["Rome", "Rome ", "rome", "Oslo"], N, p=[0.5, 0.1, 0.1, 0.3])
    heating = rng.choice(["gas", "oil", " ?"], N, p=[0.5, 0.4, 0.1])
    X = {
        "size": comma,
        "age": age,
        "floors": floors,
        "city": city.astype(object),
        "heating": heating.astype(object),
        "country": np.full(N, "IT", object),
    }
    found = {
        "number_as_text": {"size"},
        "disguised_missing": {"age", "heating"},
        "mixed_types": {"floors"},
        "spelling": {"city"},
        "constant": {"country"},
    }
    return X, size * 2 + rng.normal(0, 30, N), found


def sensors():
    """Stand-ins for missing values, infinite ones, typing errors, an empty column."""
    rng = np.random.default_rng(2)
    temperature, pressure = rng.normal(20, 5, N), rng.normal(1013, 8, N)
    temperature[::40] = -999
    pressure[5:11] = 0
    humidity, flow = rng.uniform(20, 90, N), rng.lognormal(0, 0.5, N)
    humidity[17] = 450.0
    flow[[3, 50]] = np.inf
    wind = np.full(N, np.nan)
    wind[:9] = rng.normal(size=9)
    X = {
        "temperature": temperature,
        "pressure": pressure,
        "humidity": humidity,
        "flow": flow,
        "wind": wind,
    }
    found = {
        "sentinel": {"temperature", "pressure"},
        "outlier": {"humidity"},
        "infinite": {"flow"},
        "mostly_missing": {"wind"},
    }
    return X, np.cos(humidity) + rng.normal(size=N), found


def copies():
    """Rows and columns several times."""
    rng = np.random.default_rng(3)
    height, weight = rng.normal(170, 10, N), rng.normal(70, 12, N)
    level = rng.integers(0, 4, N)
    names = np.array(["none", "school", "college", "university"], object)
    X = {
        "height_cm": height,
        "height_in": height / 2.54,
        "weight": weight,
        "weight_again": weight,
        "education": names[level],
        "education_code": level,
    }
    X = {name: np.r_[values[:-40], values[:40]] for name, values in X.items()}
    y = rng.integers(0, 2, N)
    y[-40:] = y[:40]
    same = {"height_cm", "height_in", "weight", "weight_again"}
    same |= {"education", "education_code"}
    return X, y, {"duplicate_rows": set(), "duplicate_columns": same}


def sales():
    """A skewed target with gaps, another currency of it, a category of many values."""
    rng = np.random.default_rng(4)
    area = rng.lognormal(4, 0.8, N)
    price = np.round(1000 * area * rng.lognormal(0, 0.5, N))
    shop = np.array([f"shop {i}" for i in rng.integers(0, 100, N)], object)
    X = {"area": area, "shop": shop, "price_in_yen": np.round(price * 156.3)}
    y = price.copy()
    y[:12] = np.nan
    found = {
        "leak": {"price_in_yen"},
        "missing_target": {"target"},
        "skewed_target": {"target"},
        "rare_category": {"shop"},
    }
    return X, y, found


def faults():
    """Classes with hardly a row."""
    rng = np.random.default_rng(5)
    X = {"load": rng.normal(size=N), "age": rng.uniform(0, 9, N)}
    y = np.full(N, "fine", object)
    y[:8], y[8:10] = "worn", "broken"
    return X, y, {"rare_class": {"target"}, "imbalance": {"target"}}


BROKEN = {
    function.__name__: function
    for function in (customers, export, sensors, copies, sales, faults)
}


def sound():
    """Numbers, heavy tails, categories, few missing values, dates."""
    rng = np.random.default_rng(6)
    size = rng.lognormal(3, 1, N)
    size[::50] = np.nan
    color = rng.choice(["red", "green", "none"], N).astype(object)
    color[::30] = None
    day = np.datetime64("2024-01-01") + rng.integers(0, 365, N)
    X = {
        "size": size,
        "color": color,
        "day": day,
        "count": rng.poisson(3, N),
        "amount": rng.integers(0, 10**6, N),
        "flag": rng.random(N) < 0.1,
    }
    y = np.where(rng.random(N) < 0.4 + 0.5 * X["flag"], "good", "bad")
    return X, y
