"""Money: the one place where quantities meet prices."""

from sim.billing.bill import Bill, BillLine, decimal_text
from sim.billing.rating import rate
from sim.billing.single import padding_pays_from, price_request
from sim.billing.spend import spend_weights

__all__ = ["Bill", "BillLine", "decimal_text", "padding_pays_from", "price_request", "rate", "spend_weights"]
