"""The Fetch API in Python (https://fetch.spec.whatwg.org): what HTTP actions take and give."""
