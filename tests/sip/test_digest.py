"""Digest: RFC 7616 (with its example), RFC 2617's example, RFC 3261 22, RFC 8760."""

from __future__ import annotations

import pytest

from callward.sip.auth_headers import Challenge, Credentials, parse_challenge, parse_credentials, parse_nextnonce
from callward.sip.digest import Account, DigestClient, DigestServer, Verdict, ha1, response_of
from callward.sip.uri import SipUri

URI = SipUri("example.com", "bob")
ACCOUNT = Account("alice", "secret", "callward", frozenset({"example.com"}))


def secret_of(username: str, algorithm: str) -> str | None:
    return ha1("alice", "callward", "secret", algorithm) if username == "alice" else None


def server() -> DigestServer:
    return DigestServer("callward", b"s" * 32)


def answer(
    challenges: tuple[Challenge, ...], client: DigestClient | None = None, method: str = "INVITE"
) -> Credentials:
    credentials = (client or DigestClient(ACCOUNT)).answer(challenges, method, URI, "example.com", "cn")
    assert credentials is not None
    return credentials


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc7616_3_9_1_example(algorithm: str, expected: str) -> None:
    secret = ha1("Mufasa", "http-auth@example.org", "Circle of Life", algorithm)
    credentials = Credentials(
        "Mufasa", "http-auth@example.org", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "/dir/index.html", "", algorithm,
        "auth", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", 1,
    )  # fmt: skip
    assert response_of(secret, credentials, "GET") == expected


def test_rfc2617_3_5_example() -> None:
    credentials = Credentials(
        "Mufasa",
        "testrealm@host.com",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "/dir/index.html",
        "",
        None,
        "auth",
        "0a4f113b",
        1,
    )
    secret = ha1("Mufasa", "testrealm@host.com", "Circle Of Life")
    assert response_of(secret, credentials, "GET") == "6629fae49393a05397450978507c4ef1"


def test_rfc2069_without_qop_and_auth_int_and_session() -> None:
    secret = ha1("u", "r", "p")
    plain = response_of(secret, Credentials("u", "r", "n", "sip:h", ""), "REGISTER")
    whole = response_of(secret, Credentials("u", "r", "n", "sip:h", "", "MD5", "auth-int", "c", 1), "REGISTER", b"body")
    session = response_of(secret, Credentials("u", "r", "n", "sip:h", "", "MD5-sess", "auth", "c", 1), "REGISTER")
    assert len({plain, whole, session}) == 3
    assert response_of(secret, Credentials("u", "r", "n", "sip:h", "", "MD5-sess"), "REGISTER") is None
    assert response_of(secret, Credentials("u", "r", "n", "sip:h", "", "SHA3"), "REGISTER") is None
    assert response_of(secret, Credentials("u", "r", "n", "sip:h", "", "MD5", "auth", "c"), "REGISTER") is None


def test_headers_round_trip() -> None:
    challenge = Challenge('a "realm"', "n", "SHA-256", ("auth", "auth-int"), "o", True, "sip:x")
    assert parse_challenge(str(challenge)) == challenge
    credentials = Credentials("al,ice", 'r"', "n", "sip:a@b;x=1", "ff", "MD5", "auth", "c", 10, "")
    assert parse_credentials(str(credentials)) == credentials
    assert "ff" not in repr(credentials).replace("fff", "")
    assert parse_nextnonce('nextnonce="47364c23432d2e131a5fb210812c", qop=auth') == "47364c23432d2e131a5fb210812c"


def test_20_44_a_challenge_of_the_field() -> None:
    challenge = parse_challenge(
        'digest  realm="atlanta.com", domain="sip:boxesbybob.com", qop="auth, auth-int",nonce="f84f",opaque="", stale=FALSE, algorithm=MD5'
    )
    assert challenge == Challenge("atlanta.com", "f84f", "MD5", ("auth", "auth-int"), "", False, "sip:boxesbybob.com")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Basic x",
        "Digest",
        'Digest realm="a"',
        'Digest realm="a, nonce="b"',
        'Digest realm="a", realm="b", nonce="c"',
        "Digest " + "a=b," * 50,
    ],
)
def test_malformed_challenges(text: str) -> None:
    assert parse_challenge(text) is None
    assert parse_credentials(text) is None


@pytest.mark.parametrize("count", ["1", "0000000g", "-0000001", "٠٠٠٠٠٠٠١"])
def test_malformed_nonce_counts(count: str) -> None:
    assert parse_credentials(f'Digest username="a", realm="b", nonce="c", uri="d", response="e", nc={count}') is None


def test_the_server_accepts_what_the_client_answers_for_each_algorithm() -> None:
    checker = server()
    best, legacy = checker.challenges(1000.0, b"entropy-1")
    assert (best.algorithm, legacy.algorithm, best.qop) == ("SHA-256", "MD5", ("auth",))
    for challenge in (
        best,
        Challenge(legacy.realm, checker.challenges(1000.0, b"entropy-2")[1].nonce, "MD5", ("auth",)),
    ):
        credentials = parse_credentials(str(answer((challenge,))))
        assert credentials is not None
        assert checker.verify(credentials, "INVITE", URI, secret_of, 1001.0) is Verdict.ACCEPTED


def test_rfc8760_the_first_known_challenge_is_answered() -> None:
    odd = Challenge("callward", "n", "SHA-512-256", ("auth",))
    only_future = Challenge("callward", "n", "MD5", ("auth-future",))
    known = Challenge("callward", "n", "SHA-256", ("auth",))
    assert answer((odd, only_future, known)).algorithm == "SHA-256"


def test_the_client_answers_its_own_realm_and_host_only() -> None:
    client = DigestClient(ACCOUNT)
    ours, other = Challenge("callward", "n"), Challenge("elsewhere", "n")
    assert client.answer([ours], "INVITE", URI, "evil.example", "c") is None
    assert client.answer([other], "INVITE", URI, "example.com", "c") is None
    assert client.authorize("INVITE", URI, "example.com", "c") is None
    assert client.answer([other, ours], "INVITE", URI, "EXAMPLE.com", "c") is not None
    assert client.authorize("INVITE", URI, "evil.example", "c") is None


def test_22_1_the_client_does_not_try_twice_unless_the_nonce_was_stale() -> None:
    client = DigestClient(ACCOUNT)
    first = answer((Challenge("callward", "n1", None, ("auth",)),), client)
    again = client.answer(
        [Challenge("callward", "n2", None, ("auth",))], "INVITE", URI, "example.com", "c", refused=first
    )
    stale = client.answer(
        [Challenge("callward", "n3", None, ("auth",), None, True)], "INVITE", URI, "example.com", "c", refused=first
    )
    assert again is None
    assert stale is not None
    assert (stale.nonce, stale.nonce_count) == ("n3", 1)


def test_22_3_further_requests_count_up_on_the_same_nonce() -> None:
    client, checker = DigestClient(ACCOUNT), server()
    first = answer(checker.challenges(0.0, b"e"), client)
    second = client.authorize("BYE", URI, "example.com", "c")
    assert second is not None
    assert (first.nonce_count, second.nonce_count) == (1, 2)
    assert checker.verify(second, "BYE", URI, secret_of, 1.0) is Verdict.ACCEPTED
    assert checker.verify(first, "INVITE", URI, secret_of, 1.0) is Verdict.ACCEPTED  # late, but not used before


def test_a_replay_is_refused() -> None:
    checker = server()
    credentials = answer(checker.challenges(0.0, b"e"))
    assert checker.verify(credentials, "INVITE", URI, secret_of, 1.0) is Verdict.ACCEPTED
    assert checker.verify(credentials, "INVITE", URI, secret_of, 2.0) is Verdict.REPLAYED


def test_counts_below_the_window_are_refused() -> None:
    client, checker = DigestClient(ACCOUNT), server()
    first = answer(checker.challenges(0.0, b"e"), client)
    for _ in range(200):
        last = client.authorize("INVITE", URI, "example.com", "c")
    assert last is not None
    assert checker.verify(last, "INVITE", URI, secret_of, 1.0) is Verdict.ACCEPTED
    assert checker.verify(first, "INVITE", URI, secret_of, 1.0) is Verdict.REPLAYED


def test_an_old_nonce_is_stale() -> None:
    checker = server()
    credentials = answer(checker.challenges(0.0, b"e"))
    assert checker.verify(credentials, "INVITE", URI, secret_of, 301.0) is Verdict.STALE
    assert checker.challenges(301.0, b"f", stale=True)[0].stale


def test_wrong_user_password_method_target_nonce_realm_and_qop_are_refused_alike() -> None:
    checker = server()
    challenges = checker.challenges(0.0, b"e")
    good = answer(challenges)
    other = DigestServer("callward", b"x" * 32).challenges(0.0, b"e")
    wrong_password = DigestClient(Account("alice", "guess", "callward", frozenset({"example.com"}))).answer(
        challenges, "INVITE", URI, "example.com", "c"
    )
    stranger = DigestClient(Account("eve", "secret", "callward", frozenset({"example.com"}))).answer(
        challenges, "INVITE", URI, "example.com", "c"
    )
    assert wrong_password is not None
    assert stranger is not None
    for credentials in (wrong_password, stranger, answer(other)):
        assert checker.verify(credentials, "INVITE", URI, secret_of, 1.0) is Verdict.REFUSED
    assert checker.verify(good, "BYE", URI, secret_of, 1.0) is Verdict.REFUSED
    assert checker.verify(good, "INVITE", SipUri("example.com", "carol"), secret_of, 1.0) is Verdict.REFUSED
    without_qop = answer((Challenge("callward", challenges[0].nonce, "MD5"),))
    assert checker.verify(without_qop, "INVITE", URI, secret_of, 1.0) is Verdict.REFUSED
    for nonce in ("", "x" * 48, "é" * 48, challenges[0].nonce[:-1] + "A"):
        forged = answer((Challenge("callward", nonce or "x", "SHA-256", ("auth",)),))
        assert checker.verify(forged, "INVITE", URI, secret_of, 1.0) is Verdict.REFUSED


def test_the_table_of_nonces_is_bounded_and_forgets_without_letting_replays_in() -> None:
    checker = DigestServer("callward", b"s" * 32, max_nonces=3)
    used = [answer(checker.challenges(float(at), bytes([at]))) for at in range(5)]
    verdicts = [checker.verify(credentials, "INVITE", URI, secret_of, 10.0) for credentials in used]
    assert verdicts == [Verdict.ACCEPTED] * 5
    assert checker.verify(used[0], "INVITE", URI, secret_of, 10.0) is Verdict.STALE
