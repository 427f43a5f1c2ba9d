"""Calls a webhook with the client that was generated from its document: call_webhook.py <directory> <URL> <API key>.

Prints what came back as JSON."""

import json
import sys

directory, base_url, key = sys.argv[1:]
sys.path.insert(0, directory)

from generated import AuthenticatedClient  # noqa: E402
from generated.api.orders_from_the_shop import post_orders_from_the_shop as operation  # noqa: E402
from generated.models import PostOrdersFromTheShopBody as Body  # noqa: E402


def call(key, body):
    client = AuthenticatedClient(base_url=base_url, token=key, prefix="", auth_header_name="x-api-key")
    answer = operation.sync_detailed(42, client=client, body=body, shop="north")
    return {
        "status": answer.status_code,
        "type": type(answer.parsed).__name__,
        "parsed": answer.parsed.to_dict() if answer.parsed is not None else None,
    }


order = {"order": {"id": 42, "items": [{"sku": "A-1"}]}}
print(
    json.dumps(
        {
            "taken": call(key, Body.from_dict(order)),
            "invalid": call(key, Body.from_dict({"order": {"id": "many", "items": []}})),
            "denied": call("hgk_wrong", Body.from_dict(order)),
        }
    )
)
