"""The part of mpmath that BFCL's MathAPI calls, to the last digit: the executor sees the standard library alone."""

import decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

BITS_PER_DIGIT = 3.3219280948873626


class mpf:
    """A positive or negative real of `bits` binary digits."""

    def __init__(self, value: Fraction, bits: int) -> None:
        self.value, self.bits = _rounded(value, bits), bits

    def __truediv__(self, other: "mpf") -> "mpf":
        return mpf(self.value / other.value, self.bits)

    def __repr__(self) -> str:
        digits = max(1, round(self.bits / BITS_PER_DIGIT) - 1)
        digits = 17 if digits == 15 else digits + 3
        return f"mpf('{_decimal(self.value, digits)}')"


def log(value: float) -> mpf:
    """The natural logarithm, to the precision that `mp.dps` says."""
    if not value > 0:
        raise ValueError("the logarithm of a number that is not positive")
    bits = max(1, round((int(mpmath.mp.dps) + 1) * BITS_PER_DIGIT))
    with decimal.localcontext() as context:
        context.prec = bits // 3 + 30
        return mpf(Fraction(decimal.Decimal(value).ln()), bits)


def _rounded(value: Fraction, bits: int) -> Fraction:
    if not value:
        return value
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length() - bits
    while abs(value) / Fraction(2) ** exponent >= 2**bits:
        exponent += 1
    return round(value / Fraction(2) ** exponent) * Fraction(2) ** exponent


def _decimal(value: Fraction, digits: int) -> str:
    if not value:
        return "0.0"
    with decimal.localcontext() as context:
        context.prec, context.rounding = digits, decimal.ROUND_HALF_UP
        number = decimal.Decimal(value.numerator) / decimal.Decimal(value.denominator)
    exponent = number.adjusted()
    sign, figures = "-" if value < 0 else "", "".join(map(str, number.as_tuple().digits)).rstrip("0")
    if min(-(digits // 3), -5) < exponent < digits:
        if exponent < 0:
            return f"{sign}0.{'0' * (-exponent - 1)}{figures}"
        figures = figures.ljust(exponent + 1, "0")
        return f"{sign}{figures[: exponent + 1]}.{figures[exponent + 1 :] or '0'}"
    return f"{sign}{figures[0]}.{figures[1:] or '0'}e{exponent:+d}"


mpmath: Any = SimpleNamespace(mp=SimpleNamespace(dps=15), log=log)
