"""Signs and verifies requests with the official libraries. One JSON object per line in, one per line out; see independent.rs."""

import base64
import datetime
import json
import sys

from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook
from stripe import WebhookSignature


def stripe_sign(asked, body):
    signature = WebhookSignature._compute_signature(f"{asked['time']}.{body.decode()}", asked["secret"])
    return {"stripe-signature": f"t={asked['time']},v1={signature}"}


def stripe_verify(asked, body):
    return WebhookSignature.verify_header(body, asked["headers"].get("stripe-signature"), asked["secret"], 300)


def standard_sign(asked, body):
    time = datetime.datetime.fromtimestamp(asked["time"], tz=datetime.timezone.utc)
    signature = Webhook(asked["secret"]).sign("msg_1", time, body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(asked["time"]), "webhook-signature": signature}


def standard_verify(asked, body):
    Webhook(asked["secret"]).verify(body, asked["headers"])
    return True


def slack_sign(asked, body):
    time = str(asked["time"])
    signature = SignatureVerifier(asked["secret"]).generate_signature(timestamp=time, body=body)
    return {"x-slack-request-timestamp": time, "x-slack-signature": signature}


def slack_verify(asked, body):
    return SignatureVerifier(asked["secret"]).is_valid_request(body, asked["headers"])


SCHEMES = {
    "stripe": (stripe_sign, stripe_verify),
    "standard-webhooks": (standard_sign, standard_verify),
    "slack": (slack_sign, slack_verify),
}

for line in sys.stdin:
    asked = json.loads(line)
    sign, verify = SCHEMES[asked["scheme"]]
    body = base64.b64decode(asked["body"])
    if asked["operation"] == "sign":
        answer = {"headers": sign(asked, body)}
    else:
        try:
            answer = {"accepted": verify(asked, body) is True}
        except Exception as error:  # what a server would answer with 4xx or 5xx
            answer = {"accepted": False, "reason": repr(error)}
    print(json.dumps(answer), flush=True)
