"""Which networks of a fitted estimator predict together, and how much each counts.

Estimators with networks have a method ``_as_mixture``, which raises NotFittedError
before `fit`.
"""

from typing import NamedTuple


class Family(NamedTuple):
    """Networks alike, of whose predictions the mean is taken.

    Attributes
    ----------
    name : str
        Of the family; empty where there is no other.
    networks : list of BaseMLP
        Single ones.
    weight : float
        Of all of them together; the weights of families sum to 1, unless there are
        `Mixture.others`.
    temperatures : tuple of float
        What the raw outputs of each are divided by.
    """

    name: str
    networks: list
    weight: float
    temperatures: tuple

    def owner(self, number):
        """What messages call a network; empty for the only one of an estimator."""
        who = f"member {number}" if len(self.networks) > 1 else ""
        return " of ".join(filter(None, (who, self.name)))


class Mixture(NamedTuple):
    """The families of an estimator.

    Attributes
    ----------
    families : list of Family
        The one that counts most first.
    link : str
        Inverse link of the networks.
    temperature : float
        What the raw prediction that stands for the weighted mean is divided by.
    others : tuple of str
        Names of models that are no networks and predict with them.
    """

    families: list
    link: str
    temperature: float = 1.0
    others: tuple = ()

    @property
    def networks(self):
        """The networks of all families, a list."""
        return [network for family in self.families for network in family.networks]

    @property
    def weights(self):
        """Weight of each network, a list."""
        return [
            family.weight / len(family.networks)
            for family in self.families
            for _ in family.networks
        ]

    @property
    def temperatures(self):
        """What the raw outputs of each network are divided by, a list."""
        return [own for family in self.families for own in family.temperatures]
