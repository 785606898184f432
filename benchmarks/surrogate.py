"""Tells what a configuration is worth, by its own trainings and those of configurations like it.

The best of many configurations in a few trainings is a lucky one. Those that lie near it are worth
nearly the same, so that all of them together tell what another training of it would give, and how
sure that is; `search_quality` says how far off a training held out is.
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

LEAST = 0.005
"""Added to every error, so that one of nothing has a logarithm."""


class Surrogate:
    """A Gaussian process for the logarithm of the error, which is a few percent or nearly all.

    Args:
        points: where configurations lie [configurations, coordinates].
        accuracies: what each reached on average, from 0 to 1.
    """

    def __init__(self, points: NDArray[np.float64], accuracies: NDArray[np.float64]) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        errors = np.log(1 + LEAST - accuracies)
        self.center, self.scale = errors.mean(), errors.std() or 1.0
        kernel = ConstantKernel() * Matern(nu=2.5) + WhiteKernel()
        self.process = GaussianProcessRegressor(kernel)
        # On a busy processor several threads would wait for each other most of the time.
        with threadpool_limits(1, "blas"), warnings.catch_warnings():
            # Of a noise that is at its limit where there is none.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.process.fit(points, (errors - self.center) / self.scale)

    def worth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the accuracy that is expected of configurations [configurations]."""
        return self.accuracies(self.process.predict(points))

    def accuracies(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the accuracies that have such errors, which are what the process knows."""
        found: NDArray[np.float64] = 1 + LEAST - np.exp(self.center + self.scale * errors)
        return found

    def drawn(
        self, points: NDArray[np.float64], chance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return accuracies that configurations may have [draws, configurations].

        Args:
            points: where they lie [configurations, coordinates].
            chance: normal numbers [draws, configurations].
        """
        mean, covariance = self.process.predict(points, return_cov=True)
        # Not of the noise of a training, which lies on top of what a configuration is worth.
        known = covariance - self.process.kernel_.k2.noise_level * np.eye(len(points))
        values, vectors = np.linalg.eigh(known)
        spread = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
        return self.accuracies(mean + chance @ spread)
