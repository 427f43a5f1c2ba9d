#!/usr/bin/env python3
"""Makes vectors.json: one or more requests of every known sender, signed as its documentation says, with Python's own
hmac and the cryptography package, and what must be refused of each. Run it by hand when a sender is added; keys are new
each time, and only their public halves are written.

    python3 vectors.py > vectors.json
"""

import base64
import binascii
import datetime
import hashlib
import hmac
import json
import sys
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2026, 11, 21, 12, 0, 0, tzinfo=datetime.timezone.utc)
TS = int(NOW.timestamp())
URL = "https://hooks.example.com/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders"
VECTORS = []


def text(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def b64(data):
    return base64.b64encode(data).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def mac(key, content, algorithm="sha256"):
    key = key.encode() if isinstance(key, str) else key
    content = content.encode() if isinstance(content, str) else content
    return hmac.new(key, content, algorithm).digest()


def sha256(content):
    return hashlib.sha256(content.encode()).hexdigest()


def other(signature):
    """The same text with one character changed to another that is as fit."""
    place = len(signature) // 2
    return signature[:place] + ("1" if signature[place] != "1" else "2") + signature[place + 1 :]


def vector(sender, headers, body, refused, *, secret=None, second=None, options=None, public_keys=None, method="POST",
           query="", event_type=None, delivery_id=None, keys=None, certificates=None, name=None, now=NOW):
    headers = [list(pair) for pair in headers]
    VECTORS.append({
        "sender": sender, "name": name or sender, "now": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "method": method,
        "url": URL, "query": query, "headers": headers, "body": body,
        "secret": secret, "second": second, "options": options or {}, "public_keys": public_keys or [],
        "keys": keys or {}, "certificates": certificates or {},
        "event_type": event_type, "delivery_id": delivery_id, "refused": [list(change) for change in refused],
    })


def header(name, before, after):
    """A change that must be refused: of a header (None takes it away)."""
    return (f"header {name}", before, after)


def in_body(before, after):
    return ("body", before, after)


def of_header(sender, field, signature, body, change, prefix="", **more):
    """A sender whose signature is one header over the body alone."""
    extra = more.pop("headers", [])
    value = prefix + signature
    refused = [header(field, value, prefix + other(signature)), header(field, value, signature + "x"),
               header(field, value, None), in_body(*change)]
    if prefix:
        refused.append(header(field, value, signature))
    vector(sender, [(field, value)] + extra, body, refused, **more)


SECRET = "it-is-a-secret-to-everybody"
WHSEC = "whsec_" + b64(b"0123456789abcdef0123456789abcdef")

# GitHub, Bitbucket
body = text({"action": "opened", "number": 7, "title": "ünï"})
of_header("github", "X-Hub-Signature-256", mac(SECRET, body).hex(), body, ("opened", "closed"), "sha256=", secret=SECRET,
          headers=[("X-GitHub-Event", "pull_request"), ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")],
          event_type="pull_request.opened", delivery_id="72d3162e-cc78-11e3-81ab-4c9367dc0958")
body = text({"ref": "refs/heads/main"})
of_header("github", "X-Hub-Signature-256", mac(SECRET, body).hex(), body, ("main", "Main"), "sha256=", secret=SECRET,
          headers=[("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "d1")], event_type="push", delivery_id="d1",
          name="github without an action")
# The vector of GitHub's documentation.
of_header("github", "X-Hub-Signature-256", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
          "Hello, World!", ("World", "world"), "sha256=", secret="It's a Secret to Everybody", name="github documentation")
body = text({"push": {"changes": []}})
of_header("bitbucket", "X-Hub-Signature", mac(SECRET, body).hex(), body, ("push", "pull"), "sha256=", secret=SECRET,
          headers=[("X-Event-Key", "repo:push"), ("X-Request-UUID", "r-1")], event_type="repo:push", delivery_id="r-1")


# Standard Webhooks
def standard(sender, prefix, extra, body, event_type, name=None):
    signature = b64(mac(base64.b64decode(WHSEC[6:]), f"msg_1.{TS}.{body}"))
    value = f"v1,{b64(b'x' * 32)} v2,{signature} v1,{signature}"
    vector(sender, [(prefix + "id", "msg_1"), (prefix + "timestamp", str(TS)), (prefix + "signature", value)] + extra, body,
           [header(prefix + "signature", value, f"v1,{b64(b'x' * 32)} v2,{signature}"),
            header(prefix + "signature", value, "v1," + other(signature)),
            header(prefix + "signature", value, None), header(prefix + "id", "msg_1", "msg_2"),
            header(prefix + "timestamp", str(TS), str(TS - 1)), header(prefix + "timestamp", str(TS), None),
            in_body("order", "other"), ("now", -301, None), ("now", 301, None)],
           secret=WHSEC, event_type=event_type, delivery_id="msg_1", name=name)


body = text({"type": "order.paid", "data": {}})
standard("standard-webhooks", "webhook-", [], body, "order.paid")
standard("svix", "svix-", [], body, "order.paid")
standard("gitlab", "webhook-", [("X-Gitlab-Event", "Push Hook")], body, "Push Hook")
# The vector of the specification's libraries.
vector("standard-webhooks", [("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("webhook-timestamp", "1614265330"),
                             ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")],
       '{"test": 2432232314}', [in_body("2432", "2433")], secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
       delivery_id="msg_p5jXN8AQM9LWM0D4loKWxJek", name="standard-webhooks libraries",
       now=datetime.datetime.fromtimestamp(1614265330, datetime.timezone.utc))
ed = ed25519.Ed25519PrivateKey.generate()
ed_public = ed.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
signature = b64(ed.sign(f"msg_1.{TS}.{body}".encode()))
vector("standard-webhooks-ed25519", [("webhook-id", "msg_1"), ("webhook-timestamp", str(TS)), ("webhook-signature", f"v1a,{signature}")],
       body, [header("webhook-signature", f"v1a,{signature}", f"v1,{signature}"), in_body("order", "other"), ("now", 301, None),
              header("webhook-id", "msg_1", "msg_2"), header("webhook-signature", f"v1a,{signature}", None)],
       public_keys=[b64(ed_public)], event_type="order.paid", delivery_id="msg_1")


def static(sender, field, value, body, **more):
    extra = more.pop("headers", [])
    vector(sender, [(field, value)] + extra, body,
           [header(field, value, other(value)), header(field, value, value[:-1]), header(field, value, "Bearer " + value), header(field, value, None)],
           secret=value, **more)


static("gitlab-token", "X-Gitlab-Token", SECRET, text({"object_kind": "push"}), event_type="Push Hook", delivery_id="i-1",
       headers=[("X-Gitlab-Event", "Push Hook"), ("Idempotency-Key", "i-1")])
static("telegram", "X-Telegram-Bot-Api-Secret-Token", SECRET, text({"update_id": 10000, "message": {"text": "Hi"}}),
       event_type="message", delivery_id="10000")
static("okta", "Authorization", SECRET, text({"eventId": "b5a188b9", "data": {"events": [{"eventType": "user.session.start"}]}}),
       event_type="user.session.start", delivery_id="b5a188b9")
static("okta", "X-Key", SECRET, text({"eventId": "b", "data": {"events": []}}), options={"header": "X-Key"}, delivery_id="b", name="okta's other header")
static("auth0", "Authorization", SECRET, text([{"log_id": "1", "data": {"type": "s"}}, {"log_id": "2", "data": {"type": "f"}}]),
       event_type="s,f", delivery_id="1,2")
static("auth0", "Authorization", SECRET, text({"log_id": "1", "data": {"type": "s"}}), event_type="s", delivery_id="1", name="auth0 object")

# Time and body, in one header
body = text({"id": "evt_1NG8Du2eZvKYlo2CUI79vXWy", "type": "customer.created"})
v1 = mac(SECRET, f"{TS}.{body}").hex()
value = f"t={TS},v1={other(v1)},v1={v1},v0={v1}"
vector("stripe", [("Stripe-Signature", value)], body,
       [header("Stripe-Signature", value, f"t={TS},v1={other(v1)},v0={v1}"), header("Stripe-Signature", value, f"v1={v1}"),
        header("Stripe-Signature", value, f"t={TS - 1},v1={v1}"), header("Stripe-Signature", value, None),
        in_body("customer", "Customer"), ("now", 301, None), ("now", -301, None)],
       secret=SECRET, event_type="customer.created", delivery_id="evt_1NG8Du2eZvKYlo2CUI79vXWy")
body = text({"event": "invitee.created", "created_at": "2026-11-21T12:00:00Z"})
v1 = mac(SECRET, f"{TS}.{body}").hex()
value = f"t={TS},v1={v1}"
vector("calendly", [("Calendly-Webhook-Signature", value)], body,
       [header("Calendly-Webhook-Signature", value, f"t={TS},v1={other(v1)}"), in_body("invitee", "other"), ("now", 181, None), ("now", -181, None)],
       secret=SECRET, event_type="invitee.created", delivery_id=sha256(body))
body = text({"event_id": "evt_01", "event_type": "transaction.completed"})
h1 = mac(SECRET, f"{TS}:{body}").hex()
value = f"ts={TS};h1={h1}"
vector("paddle", [("Paddle-Signature", value)], body,
       [header("Paddle-Signature", value, f"ts={TS};h1={other(h1)}"), in_body("transaction", "other"), ("now", 6, None), ("now", -6, None)],
       secret=SECRET, event_type="transaction.completed", delivery_id="evt_01")

# Time and body, in two headers
def timed(sender, signature_header, time_header, time, content, encode, prefix, body, change, bounds, **more):
    signature = encode(mac(SECRET, content))
    vector(sender, [(signature_header, prefix + signature), (time_header, time)] + more.pop("headers", []), body,
           [header(signature_header, prefix + signature, prefix + other(signature)), header(signature_header, prefix + signature, None),
            header(time_header, time, None), header(time_header, time, "1"), in_body(*change)]
           + [("now", bound, None) for bound in bounds], secret=SECRET, **more)


hexed = lambda data: data.hex()
body = text({"type": "event_callback", "event_id": "Ev0PV52K25", "event": {"type": "app_mention"}})
timed("slack", "X-Slack-Signature", "X-Slack-Request-Timestamp", str(TS), f"v0:{TS}:{body}", hexed, "v0=", body,
      ("app_mention", "app_Mention"), (301, -301), event_type="app_mention", delivery_id="Ev0PV52K25")
form = "command=%2Fweather&text=94070&trigger_id=13345224609.738474920.8088930838d88f008e0"
timed("slack", "X-Slack-Signature", "X-Slack-Request-Timestamp", str(TS), f"v0:{TS}:{form}", hexed, "v0=", form,
      ("94070", "94071"), (301, -301), event_type="/weather", delivery_id="13345224609.738474920.8088930838d88f008e0",
      headers=[("Content-Type", "application/x-www-form-urlencoded")], name="slack command")
# The vector of Slack's documentation.
documented = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
vector("slack", [("X-Slack-Signature", signature), ("X-Slack-Request-Timestamp", "1531420618"), ("Content-Type", "application/x-www-form-urlencoded")],
       documented, [in_body("roadrunner", "coyote"), ("now", 301, None)], secret="8f742231b10e8888abcd99yyyzzz85a5",
       event_type="/webhook-collect", delivery_id="398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c", name="slack documentation",
       now=datetime.datetime.fromtimestamp(1531420618, datetime.timezone.utc))
body = text({"event": "meeting.started", "event_ts": TS * 1000, "payload": {}})
timed("zoom", "x-zm-signature", "x-zm-request-timestamp", str(TS), f"v0:{TS}:{body}", hexed, "v0=", body,
      ("meeting", "Meeting"), (301, -301), event_type="meeting.started", delivery_id=sha256(body))
time = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
body = text({"type": "zen:event-type:user.created"})
timed("zendesk", "X-Zendesk-Webhook-Signature", "X-Zendesk-Webhook-Signature-Timestamp", time, time + body, b64, "", body,
      ("user", "User"), (301, -301), event_type="zen:event-type:user.created", delivery_id="i-1",
      headers=[("X-Zendesk-Webhook-Invocation-Id", "i-1")])
body = text([{"eventId": 1, "subscriptionId": 2, "occurredAt": 3, "subscriptionType": "contact.creation"},
             {"eventId": 4, "subscriptionId": 2, "occurredAt": 5, "subscriptionType": "contact.creation"}])
timed("hubspot", "X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp", str(TS * 1000), f"POST{URL}?a=b:c{body}{TS * 1000}", b64, "", body,
      ("contact", "Contact"), (301, -301), event_type="contact.creation", delivery_id="1:2:3;4:2:5;", query="a=b%3Ac")

# The body alone
body = text({"id": 820982911946154508})
of_header("shopify", "X-Shopify-Hmac-Sha256", b64(mac(SECRET, body)), body, ("8209", "8208"), secret=SECRET, event_type="orders/create", delivery_id="w-1",
          headers=[("X-Shopify-Topic", "orders/create"), ("X-Shopify-Webhook-Id", "w-1")])
body = text({"id": "notif_1", "topic": "conversation.user.created"})
of_header("intercom", "X-Hub-Signature", mac(SECRET, body, "sha1").hex(), body, ("notif", "Notif"), "sha1=", secret=SECRET,
          event_type="conversation.user.created", delivery_id="notif_1")
body = text({"action": "create", "webhookTimestamp": TS * 1000})
of_header("linear", "Linear-Signature", mac(SECRET, body).hex(), body, ("create", "update"), secret=SECRET, event_type="Issue", delivery_id="l-1",
          headers=[("Linear-Event", "Issue"), ("Linear-Delivery", "l-1")])
VECTORS[-1]["refused"] += [["now", 61, None], ["now", -61, None]]
body = text({"id": "n-1", "type": "page.created"})
of_header("notion", "X-Notion-Signature", mac("secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl", body).hex(), body, ("page", "Page"), "sha256=",
          secret="secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl", event_type="page.created", delivery_id="n-1")
body = text({"event_id": "01", "event_type": "form_response"})
of_header("typeform", "Typeform-Signature", b64(mac(SECRET, body)), body, ("form", "Form"), "sha256=", secret=SECRET,
          event_type="form_response", delivery_id="01")
body = text({"object": "page", "entry": [{"id": "1", "time": TS, "changes": [{"field": "feed", "value": {}}]}]})
of_header("meta", "X-Hub-Signature-256", mac(SECRET, body).hex(), body, ("feed", "Feed"), "sha256=", secret=SECRET, second="verify-me",
          event_type="page.feed", delivery_id=sha256(body))
body = text({"object": "page", "entry": [{"id": "1", "time": TS, "messaging": []}]})
of_header("meta", "X-Hub-Signature-256", mac(SECRET, body).hex(), body, ("page", "Page"), "sha256=", secret=SECRET, second="verify-me",
          event_type="page", delivery_id=sha256(body), name="meta messaging")
body = text({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [
    {"field": "messages", "value": {"messages": [{"id": "wamid.1"}], "statuses": [{"id": "wamid.0", "status": "read"}]}}]}]})
of_header("whatsapp", "X-Hub-Signature-256", mac(SECRET, body).hex(), body, ("read", "sent"), "sha256=", secret=SECRET, second="verify-me",
          event_type="messages", delivery_id="wamid.1;wamid.0:read;")
body = text({"event": {"id": "c-1", "type": "charge:confirmed"}})
of_header("coinbase-commerce", "X-CC-Webhook-Signature", mac(SECRET, body).hex(), body, ("charge", "Charge"), secret=SECRET,
          event_type="charge:confirmed", delivery_id="c-1")
body = text({"list_folder": {"accounts": ["dbid:1"]}, "delta": {"users": [1]}})
of_header("dropbox", "X-Dropbox-Signature", mac(SECRET, body).hex(), body, ("dbid", "Dbid"), secret=SECRET, event_type="list_folder")
body = text({"for_user_id": "1", "tweet_create_events": []})
of_header("x", "x-twitter-webhooks-signature", b64(mac(SECRET, body)), body, ("tweet", "Tweet"), "sha256=", secret=SECRET,
          event_type="tweet_create_events", delivery_id=sha256(body))
body = text({"events": [{"action": "changed", "resource": {"resource_type": "task"}}]})
of_header("asana", "X-Hook-Signature", mac(SECRET, body).hex(), body, ("changed", "deleted"), secret=SECRET, event_type="task.changed")
body = text({"event": "envelope-completed", "generatedDateTime": "2026-11-21T12:00:00Z"})
signature = b64(mac(SECRET, body))
vector("docusign", [("X-DocuSign-Signature-1", b64(b"x" * 32)), ("X-DocuSign-Signature-2", signature)], body,
       [header("X-DocuSign-Signature-2", signature, other(signature)), header("X-DocuSign-Signature-2", signature, None), in_body("envelope", "Envelope")],
       secret=SECRET, event_type="envelope-completed", delivery_id=sha256(body))

# What covers the URL
body = text({"event_id": "6a8f5f28", "type": "payment.updated"})
of_header("square", "x-square-hmacsha256-signature", b64(mac(SECRET, URL + body)), body, ("payment", "Payment"), secret=SECRET,
          event_type="payment.updated", delivery_id="6a8f5f28")
VECTORS[-1]["refused"].append(["url", "hooks.example.com", "other.example.com"])
pairs = [("To", "+15017122661"), ("MessageStatus", "delivered"), ("From", "+15558675310"), ("Body", "ü a+b")]
form = urllib.parse.urlencode(pairs)
signature = b64(mac(SECRET, URL + "?a=1" + "".join(key + value for key, value in sorted(pairs)), "sha1"))
vector("twilio", [("X-Twilio-Signature", signature), ("I-Twilio-Idempotency-Token", "t-1"), ("Content-Type", "application/x-www-form-urlencoded")], form,
       [header("X-Twilio-Signature", signature, other(signature)), header("X-Twilio-Signature", signature, None),
        in_body("delivered", "failed"), ("url", "orders", "Orders"), ("query", "a=1", "a=2")],
       secret=SECRET, query="a=1", event_type="delivered", delivery_id="t-1")
body = text({"EventType": "onMessageAdded"})
query = "bodySHA256=" + sha256(body)
for name, url in [("twilio JSON", URL), ("twilio JSON with a port", URL.replace(".com/", ".com:443/"))]:
    signature = b64(mac(SECRET, f"{url}?{query}", "sha1"))
    vector("twilio", [("X-Twilio-Signature", signature), ("Content-Type", "application/json")], body,
           [header("X-Twilio-Signature", signature, other(signature)), in_body("onMessageAdded", "onMessageRemoved"),
            ("query", query, ""), ("query", query, "bodySHA256=" + sha256("{}"))],
           secret=SECRET, query=query, event_type="onMessageAdded", name=name)

# In the body
body = text({"signature": {"timestamp": str(TS), "token": "t" * 50, "signature": mac(SECRET, str(TS) + "t" * 50).hex()},
             "event-data": {"event": "opened"}})
vector("mailgun", [], body, [in_body("ttt", "tTt"), in_body(str(TS), str(TS - 1)), in_body('"signature":"', '"signature":"0'),
                             ("now", 43201, None), ("now", -43201, None)],
       secret=SECRET, event_type="opened", delivery_id="t" * 50)


def adyen_item(key, **fields):
    item = {"pspReference": "7914073381342284", "originalReference": "", "merchantAccountCode": "TestMerchant",
            "merchantReference": "TestPayment-1407325143704", "amount": {"value": 1130, "currency": "EUR"},
            "eventCode": "AUTHORISATION", "success": "true", **fields}
    content = ":".join([item["pspReference"], item["originalReference"], item["merchantAccountCode"], item["merchantReference"],
                        str(item["amount"]["value"]), item["amount"]["currency"], item["eventCode"], item["success"]])
    item["additionalData"] = {"hmacSignature": b64(mac(bytes.fromhex(key), content))}
    return {"NotificationRequestItem": item}


KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
item = adyen_item(KEY)
assert item["NotificationRequestItem"]["additionalData"]["hmacSignature"] == "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0=", "Adyen's documented vector"
body = text({"live": "false", "notificationItems": [item, adyen_item(KEY, eventCode="REFUND", pspReference="2")]})
vector("adyen", [], body, [in_body("AUTHORISATION", "CAPTURE"), in_body("REFUND", "CHARGEBACK"), in_body("coqC", "coqD"),
                           in_body('"notificationItems":[', '"notificationItems":[{"NotificationRequestItem":{}},'),
                           in_body("notificationItems", "items")],
       secret=KEY, event_type="AUTHORISATION,REFUND", delivery_id="7914073381342284:AUTHORISATION:true;2:REFUND:true;")

# Named headers
body = text({"id": "s-1", "eventType": "onchain.activity.detected"})
v1 = mac(SECRET, f"{TS}.content-type x-hook0-id.application/json.h-1.{body}").hex()
value = f"t={TS},h=content-type x-hook0-id,v1={v1}"
vector("coinbase-cdp", [("X-Hook0-Signature", value), ("Content-Type", "application/json"), ("X-Hook0-Id", "h-1")], body,
       [header("X-Hook0-Signature", value, value.replace(" x-hook0-id", "")), header("X-Hook0-Signature", value, f"t={TS},h=content-type x-hook0-id,v1={other(v1)}"),
        header("X-Hook0-Id", "h-1", "h-2"), header("X-Hook0-Id", "h-1", None), in_body("onchain", "offchain"), ("now", 301, None), ("now", -301, None)],
       secret=SECRET, event_type="onchain.activity.detected", delivery_id="s-1")

# Public keys
body = text({"version": 1, "type": 1, "event": {"type": "APPLICATION_AUTHORIZED", "timestamp": "2026-11-21T12:00:00"}})
signature = ed.sign(f"{TS}{body}".encode()).hex()
vector("discord", [("X-Signature-Ed25519", signature), ("X-Signature-Timestamp", str(TS))], body,
       [header("X-Signature-Ed25519", signature, other(signature)), header("X-Signature-Ed25519", signature, None),
        header("X-Signature-Timestamp", str(TS), str(TS + 1)), header("X-Signature-Timestamp", str(TS), None), in_body("APPLICATION", "application")],
       public_keys=[ed_public.hex()], event_type="APPLICATION_AUTHORIZED", delivery_id=sha256(body))
p256 = ec.generate_private_key(ec.SECP256R1())
spki = b64(p256.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
body = text([{"event": "processed", "sg_event_id": "a"}, {"event": "open", "sg_event_id": "b"}, {"event": "open", "sg_event_id": "c"}]) + "\r\n"
signature = b64(p256.sign(f"{TS}{body}".encode(), ec.ECDSA(hashes.SHA256())))
vector("sendgrid", [("X-Twilio-Email-Event-Webhook-Signature", signature), ("X-Twilio-Email-Event-Webhook-Timestamp", str(TS))], body,
       [header("X-Twilio-Email-Event-Webhook-Signature", signature, None), header("X-Twilio-Email-Event-Webhook-Timestamp", str(TS), str(TS + 1)),
        in_body("processed", "dropped"), in_body("\r\n", "")],
       public_keys=[spki], event_type="processed,open", delivery_id="a,b,c")

# Certificates
rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.com")])
certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(rsa_key.public_key())
               .serial_number(1).not_valid_before(NOW - datetime.timedelta(days=365)).not_valid_after(NOW + datetime.timedelta(days=36500))
               .sign(rsa_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode())
body = text({"id": "WH-1", "event_type": "PAYMENT.SALE.COMPLETED"})
content = f"tid|{time}|1JE4291016473214C|{binascii.crc32(body.encode())}"
signature = b64(rsa_key.sign(content.encode(), padding.PKCS1v15(), hashes.SHA256()))
cert_url = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270"
vector("paypal", [("PAYPAL-TRANSMISSION-ID", "tid"), ("PAYPAL-TRANSMISSION-TIME", time), ("PAYPAL-TRANSMISSION-SIG", signature), ("PAYPAL-CERT-URL", cert_url),
                  ("PAYPAL-AUTH-ALGO", "SHA256withRSA")], body,
       [header("PAYPAL-TRANSMISSION-SIG", signature, None), header("PAYPAL-TRANSMISSION-ID", "tid", "other"), in_body("SALE", "sale"),
        header("PAYPAL-CERT-URL", cert_url, "https://api.paypal.com.attacker.example/cert"), header("PAYPAL-CERT-URL", cert_url, None)],
       options={"webhook_id": "1JE4291016473214C"}, certificates={cert_url: certificate, "https://api.paypal.com.attacker.example/cert": certificate},
       event_type="PAYMENT.SALE.COMPLETED", delivery_id="WH-1")
TOPIC = "arn:aws:sns:eu-central-1:123456789012:orders"
sns_url = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-01.pem"
evil_url = "https://attacker.s3.amazonaws.com/x.pem"


def sns(version, message, name):
    algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}[version]
    keys = ["Message", "MessageId"] + (["Subject"] if "Subject" in message else []) + (["SubscribeURL"] if "SubscribeURL" in message else []) + ["Timestamp"] + (["Token"] if "Token" in message else []) + ["TopicArn", "Type"]
    content = "".join(f"{key}\n{message[key]}\n" for key in keys)
    signature = b64(rsa_key.sign(content.encode(), padding.PKCS1v15(), algorithm))
    body = text({**message, "SignatureVersion": version, "Signature": signature, "SigningCertURL": sns_url})
    vector("sns", [("x-amz-sns-message-type", message["Type"]), ("Content-Type", "text/plain; charset=UTF-8")], body,
           [in_body("165545c9", "165545c8"), in_body(TOPIC, TOPIC.replace("123456789012", "999999999999")), in_body(sns_url, evil_url),
            in_body('"Signature":"', '"Signatur":"'), in_body('"Message":"', '"Message":"x')],
           secret=TOPIC, certificates={sns_url: certificate, evil_url: certificate}, event_type=message["Type"], delivery_id=message["MessageId"], name=name)
    return content, signature


base = {"Type": "Notification", "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b", "TopicArn": TOPIC, "Message": "two\nlines", "Timestamp": "2026-11-21T12:00:00.000Z"}
sns("1", {**base, "Subject": "My First Message"}, "sns version 1")
sns("2", base, "sns version 2")
sns("2", {**base, "Type": "SubscriptionConfirmation", "Token": "2336", "SubscribeURL": f"https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336"}, "sns confirmation")
# A topic of somebody else, whose message holds the lines of a message to ours: the signed text is the same.
EVIL = "arn:aws:sns:eu-central-1:999999999999:evil"
forged = {"Message": "foo", "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b", "Timestamp": "2026-11-21T12:00:00.000Z", "TopicArn": TOPIC}
message = "foo\nMessageId\n165545c9-2a5c-472c-8df2-7ff2be2b3b1b\nTimestamp\n2026-11-21T12:00:00.000Z\nTopicArn\n" + TOPIC + "\nType\nNotification"
content, signature = (lambda c: (c, b64(rsa_key.sign(c.encode(), padding.PKCS1v15(), hashes.SHA256()))))(
    f"Message\n{message}\nMessageId\nreal\nTimestamp\n2026\nTopicArn\n{EVIL}\nType\nNotification\n")
forged["Type"] = f"Notification\nMessageId\nreal\nTimestamp\n2026\nTopicArn\n{EVIL}\nType\nNotification"
assert content == "".join(f"{key}\n{forged[key]}\n" for key in sorted(forged))
FORGED = {"body": text({**forged, "SignatureVersion": "2", "Signature": signature, "SigningCertURL": sns_url})}
VECTORS[-2]["refused"].append(["body", VECTORS[-2]["body"], FORGED["body"]])


# Tokens
def jwk(key, kid):
    numbers = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        size = lambda n: n.to_bytes((n.bit_length() + 7) // 8, "big")
        return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": b64url(size(numbers.n)), "e": b64url(size(numbers.e))}
    return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
            "x": b64url(numbers.x.to_bytes(32, "big")), "y": b64url(numbers.y.to_bytes(32, "big"))}


def jwt(claims, key=rsa_key, algorithm="RS256", kid="k1"):
    signed = b64url(text({"alg": algorithm, "typ": "JWT", "kid": kid}).encode()) + "." + b64url(text(claims).encode())
    if algorithm == "RS256":
        signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    elif algorithm == "none":
        signature = b""
    else:
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return signed + "." + b64url(signature)


JWKS = {"keys": [jwk(rsa_key, "k1")]}
claims = {"iss": "https://accounts.google.com", "aud": "orders", "email": "pusher@my-project.iam.gserviceaccount.com", "email_verified": True, "iat": TS, "exp": TS + 3600}
token = "Bearer " + jwt(claims)
body = text({"message": {"data": "e30=", "messageId": "136969346945", "attributes": {"eventType": "OBJECT_FINALIZE"}}, "subscription": "projects/p/subscriptions/s"})
vector("pubsub", [("Authorization", token)], body,
       [header("Authorization", token, None), ("now", 3661, None)]
       + [header("Authorization", token, "Bearer " + jwt({**claims, **wrong})) for wrong in
          [{"aud": "other"}, {"email": "evil@other.iam.gserviceaccount.com"}, {"email_verified": False}, {"iss": "https://evil.example"}]]
       + [header("Authorization", token, "Bearer " + jwt(claims, algorithm="none"))],
       options={"audience": "orders", "email": "pusher@my-project.iam.gserviceaccount.com"},
       keys={"https://www.googleapis.com/oauth2/v3/certs": JWKS}, event_type="OBJECT_FINALIZE", delivery_id="136969346945")
TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
body = text([{"id": "e-1", "eventType": "Microsoft.Storage.BlobCreated", "data": {}}])
for name, version in [("event-grid-entra", {"iss": f"https://sts.windows.net/{TENANT}/", "appid": "4962773b-9cdb-44cf-a8bf-237846a00ab7"}),
                      ("event-grid-entra version 2", {"iss": f"https://login.microsoftonline.com/{TENANT}/v2.0", "azp": "4962773b-9cdb-44cf-a8bf-237846a00ab7"})]:
    claims = {**version, "aud": "api://a", "iat": TS, "nbf": TS, "exp": TS + 3600}
    token = "Bearer " + jwt(claims)
    wrong = [{**claims, "aud": "api://b"}, {key: value for key, value in claims.items() if key not in ("appid", "azp")}, {**claims, "iss": claims["iss"].replace(TENANT, "0" * 8)}]
    vector("event-grid-entra", [("Authorization", token)], body,
           [header("Authorization", token, None), ("now", 3661, None)] + [header("Authorization", token, "Bearer " + jwt(one)) for one in wrong],
           options={"tenant_id": TENANT, "audience": "api://a"}, name=name,
           keys={f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys": JWKS}, event_type="Microsoft.Storage.BlobCreated", delivery_id="e-1")
notification = {"subscriptionId": "s-1", "clientState": SECRET, "changeType": "updated", "resource": "users/1", "resourceData": {"@odata.etag": "W/1"}}
body = text({"value": [notification]})
vector("microsoft-graph", [], body, [in_body(SECRET, other(SECRET)), in_body("clientState", "ClientState"), in_body('"value":[', '"value":[{},')],
       secret=SECRET, event_type="updated", delivery_id="s-1:users/1:updated:W/1;")
body = text({"value": [{key: value for key, value in notification.items() if key != "resourceData"}]})
vector("microsoft-graph", [], body, [in_body(SECRET, other(SECRET))], secret=SECRET, event_type="updated", name="microsoft-graph without an ETag")
APP = "3f1e0d2c-5b4a-4c8d-9e7f-6a5b4c3d2e1f"
claims = {"iss": f"https://sts.windows.net/{TENANT}/", "appid": "0bf30f3b-4a52-48df-9a82-234910c4a086", "aud": APP, "iat": TS, "exp": TS + 3600}
token = jwt(claims)
body = text({"value": [notification], "validationTokens": [token]})
vector("microsoft-graph-rich", [], body,
       [in_body(SECRET, other(SECRET)), in_body(token, jwt({**claims, "aud": "other"})), in_body(token, jwt({**claims, "appid": "other"})), in_body("validationTokens", "tokens"), ("now", 3661, None)],
       secret=SECRET, options={"app_id": APP, "tenant_id": TENANT}, keys={"https://login.microsoftonline.com/common/discovery/v2.0/keys": JWKS},
       event_type="updated", delivery_id="s-1:users/1:updated:W/1;")
body = text({"webhook_type": "TRANSACTIONS", "webhook_code": "SYNC_UPDATES_AVAILABLE"})
token = jwt({"iat": TS, "request_body_sha256": sha256(body)}, p256, "ES256", "6c5516e1-92dc-479e-a8ff-5a51992e0001")
late = jwt({"iat": TS - 400, "request_body_sha256": sha256(body)}, p256, "ES256", "6c5516e1-92dc-479e-a8ff-5a51992e0001")
unknown = jwt({"iat": TS, "request_body_sha256": sha256(body)}, ec.generate_private_key(ec.SECP256R1()), "ES256", "6c5516e1-92dc-479e-a8ff-5a51992e0001")
vector("plaid", [("Plaid-Verification", token)], body,
       [header("Plaid-Verification", token, None), header("Plaid-Verification", token, late), header("Plaid-Verification", token, unknown),
        in_body("TRANSACTIONS", "ITEM")],
       options={"keys": text([jwk(p256, "6c5516e1-92dc-479e-a8ff-5a51992e0001")])}, event_type="TRANSACTIONS.SYNC_UPDATES_AVAILABLE", delivery_id=sha256(token))

# What is repeated in the URL or in a pair
body = text([{"id": "e-1", "eventType": "Microsoft.Storage.BlobCreated", "data": {}}])
vector("event-grid", [], body, [("query", SECRET, other(SECRET)), ("query", f"secret={SECRET}", "")], secret=SECRET, query=f"secret={SECRET}",
       event_type="Microsoft.Storage.BlobCreated", delivery_id="e-1")
body = text({"specversion": "1.0", "id": "e-1", "source": "/subscriptions/1", "type": "Microsoft.Storage.BlobCreated"})
vector("event-grid", [], body, [("query", SECRET, other(SECRET))], secret=SECRET, query=f"code={SECRET}", options={"parameter": "code"},
       event_type="Microsoft.Storage.BlobCreated", delivery_id="/subscriptions/1 e-1", name="event-grid CloudEvents")
vector("cloudevents", [("Authorization", "Bearer " + SECRET), ("ce-id", "1"), ("ce-source", "/a"), ("ce-type", "com.example.created")], "{}",
       [header("Authorization", "Bearer " + SECRET, "Bearer " + other(SECRET)), header("Authorization", "Bearer " + SECRET, None)],
       secret=SECRET, event_type="com.example.created", delivery_id="/a 1")
vector("cloudevents", [], text({"id": "1", "source": "/a", "type": "com.example.created"}), [("query", SECRET, other(SECRET))], secret=SECRET,
       query=f"access_token={SECRET}", event_type="com.example.created", delivery_id="/a 1", name="cloudevents in the query")
vector("hap", [("HAP-Appkey", "d88a1f5e3c4b2a19"), ("HAP-Sign", SECRET)], "{}",
       [header("HAP-Sign", SECRET, other(SECRET)), header("HAP-Sign", SECRET, None), header("HAP-Appkey", "d88a1f5e3c4b2a19", "d88a1f5e3c4b2a18"), header("HAP-Appkey", "d88a1f5e3c4b2a19", None)],
       secret=SECRET, options={"app_key": "d88a1f5e3c4b2a19"})
vector("hap", [], text({"AppKey": "d88a1f5e3c4b2a19", "Sign": SECRET, "order": 1}), [in_body(SECRET, other(SECRET)), in_body("d88a1f5e3c4b2a19", "d88a1f5e3c4b2a18")],
       secret=SECRET, options={"app_key": "d88a1f5e3c4b2a19"}, name="hap in the body")
vector("hap", [], "{}", [("query", SECRET, other(SECRET))], query=f"AppKey=d88a1f5e3c4b2a19&Sign={SECRET}", secret=SECRET, options={"app_key": "d88a1f5e3c4b2a19"}, name="hap in the query")

json.dump(VECTORS, sys.stdout, indent=1, ensure_ascii=False)
print()
