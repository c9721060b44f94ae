"""Boosted trees with their defaults, which take categories and missing values."""

from sklearn import ensemble


def hist(task, n_threads, seed):
    """scikit-learn's; OpenMP takes the threads from the environment."""
    cls = getattr(ensemble, f"HistGradientBoosting{kind(task)}")
    return cls(categorical_features="from_dtype", random_state=seed)


def lightgbm(task, n_threads, seed):
    import lightgbm

    cls = getattr(lightgbm, f"LGBM{kind(task)}")
    return cls(n_jobs=n_threads, random_state=seed, verbose=-1)


def xgboost(task, n_threads, seed):
    import xgboost

    cls = getattr(xgboost, f"XGB{kind(task)}")
    return cls(n_jobs=n_threads, random_state=seed, enable_categorical=True)


def catboost(task, n_threads, seed):
    return CatBoost(task, n_threads, seed)


def kind(task):
    """What classes' names end with."""
    return "Regressor" if task == "regression" else "Classifier"


class CatBoost:
    """CatBoost, which takes categories as texts, a missing one being one of them."""

    def __init__(self, task, n_threads, seed):
        import catboost

        self.model = getattr(catboost, f"CatBoost{kind(task)}")(
            thread_count=n_threads,
            random_seed=seed,
            verbose=False,
            allow_writing_files=False,
        )

    def fit(self, X, y):
        self.categories = list(X.select_dtypes("category"))
        self.model.set_params(cat_features=self.categories)
        self.model.fit(self._texts(X), y)
        return self

    def _texts(self, X):
        return X.assign(
            **{
                name: X[name].astype(object).where(X[name].notna(), "(missing)")
                for name in self.categories
            }
        )

    def predict(self, X):
        return self.model.predict(self._texts(X))

    def predict_proba(self, X):
        return self.model.predict_proba(self._texts(X))

    @property
    def classes_(self):
        return self.model.classes_
