"""Reads the store through a port-forward: GET and listing, signed by hand (SigV4)."""
import base64
import datetime
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree

from .forward import Forward

XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class Store(Forward):
    """The bundled store of a release, for as long as the block lasts."""

    def __init__(self, api, namespace="weir", name="weir-store"):
        data = api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")["data"]
        self.access_key, self.secret_key = (base64.b64decode(data[key]).decode() for key in ("access-key", "secret-key"))
        super().__init__(f"service/{name}", 9000, namespace)

    def get(self, bucket, key=None, **query):
        """The body of an object, or of a bucket's answer to a query. KeyError if there is none."""
        path = urllib.parse.quote(f"/{bucket}" + (f"/{key}" if key else ""))
        text = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote)
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request("GET", f"{path}?{text}" if text else path, headers=self.sign(path, text))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status == 404:
            raise KeyError(f"{bucket}/{key}")
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} for {path}: {body[:500]}")
        return body

    def keys(self, bucket, prefix=""):
        """All keys below a prefix."""
        keys, more = [], {}
        while True:
            answer = self.get(bucket, **{"list-type": "2", "prefix": prefix}, **more)
            root = xml.etree.ElementTree.fromstring(answer)
            keys += [item.findtext(f"{XML}Key") for item in root.iter(f"{XML}Contents")]
            if root.findtext(f"{XML}IsTruncated") != "true":
                return keys
            more = {"continuation-token": root.findtext(f"{XML}NextContinuationToken")}

    def sign(self, path, query):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        body = hashlib.sha256(b"").hexdigest()
        headers = {"host": self.host, "x-amz-content-sha256": body, "x-amz-date": now}
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        request = "\n".join(["GET", path, query, lines, names, body])
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        return headers | {"Authorization": credential}
