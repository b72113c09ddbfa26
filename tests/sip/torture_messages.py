"""Torture messages after RFC 4475 (and some of RFC 5118), put together by us from what the RFC says each must contain.

`message(...)` writes CRLF line ends and, where asked, the true Content-Length. Names are those of the RFC's sections.
"""

from __future__ import annotations

SDP = (
    "v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n"
    "m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n"
)


def message(*lines: str | bytes, body: str | bytes = b"", length: bool = True) -> bytes:
    """The lines as a message; `length` appends the true Content-Length."""
    octets = body.encode() if isinstance(body, str) else body
    head = [line.encode() if isinstance(line, str) else line for line in lines]
    if length:
        head.append(f"Content-Length: {len(octets)}".encode())
    return b"\r\n".join(head) + b"\r\n\r\n" + octets


def request(
    start: str,
    *extra: str | bytes,
    body: str | bytes = b"",
    length: bool = True,
    method: str | None = None,
    without: tuple[str, ...] = (),
) -> bytes:
    """A plain valid request with the given start line; `extra` lines replace defaults of the same name."""
    method = method or start.split(" ")[0]
    names = {
        (line.encode() if isinstance(line, str) else line).split(b":")[0].strip().lower().decode() for line in extra
    }
    defaults = [
        "Via: SIP/2.0/UDP host1.example.com:5060;branch=z9hG4bKtorture1",
        "Max-Forwards: 70",
        "From: sip:caller@example.com;tag=torture-from",
        "To: <sip:callee@example.com>",
        "Call-ID: torture.1@host1.example.com",
        f"CSeq: 8 {method}",
    ]
    kept = [line for line in defaults if (name := line.split(":")[0].lower()) not in names and name not in without]
    return message(start, *kept, *extra, body=body, length=length)


LONG = "long" * 60

VALID: dict[str, bytes] = {
    "3.1.1.1 wsinv": message(
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0",
        "TO :",
        " sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
        'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>',
        "  ;",
        "  tag = 98asjd8",
        "MaX-fOrWaRdS: 0068",
        "Call-ID: wsinv.ndaksdj@192.0.2.1",
        "cseq: 0009",
        "  INVITE",
        "Via  : SIP  /   2.0",
        " /UDP",
        "    192.0.2.2;branch=390skdjuw",
        "s :",
        "NewFangledHeader:   newfangled value",
        " continued newfangled value",
        "UnknownHeaderWithUnusualValue: ;;,,;;,;",
        "Content-Type: application/sdp",
        "Route:",
        " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
        "v:  SIP  / 2.0  / TCP     spindle.example.com   ;",
        "  branch  =   z9hG4bK9ikj8  ,",
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch=",
        " z9hG4bK30239",
        'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =',
        "      newvalue ;",
        "  secondparam ; q = 0.33",
        body=SDP,
    ),
    "3.1.1.2 intmeth": message(
        "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:"
        "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
        "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
        b'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>',
        "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>"
        ";fromParam''~+*_!.-%=\"\u0440\u0430\u0431\u043e\u0442\u0430\u044e\u0449\u0438\u0439\";tag=_token~1'+`*%!-.",
        "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
        "CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~",
        "Max-Forwards: 255",
        "extensionHeader-!.%*+_`'~: \ufeff\u5927\u505c\u96fb",
    ),
    "3.1.1.3 esc01": request(
        "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
        "To: sip:%75se%72@example.com",
        "From: <sip:I%20have%20spaces@example.net>;tag=938",
        "Contact: <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>",
        "Content-Type: application/sdp",
        body=SDP,
    ),
    "3.1.1.4 escnull": request(
        "REGISTER sip:example.com SIP/2.0",
        "To: sip:null-%00-null@example.com",
        "From: sip:null-%00-null@example.com;tag=839923423",
        "Contact: <sip:%00@host5.example.com>",
        "Contact: <sip:%00%00@host5.example.com>",
    ),
    "3.1.1.5 esc02": request(
        "RE%47IST%45R sip:registrar.example.com SIP/2.0",
        'To: "%Z%45" <sip:resource@example.com>',
        'From: "%Z%45" <sip:resource@example.com>;tag=f232jadfj23',
        "Contact: <sip:alias1@host1.example.com>",
        "C%6Fntact: <sip:alias2@host2.example.com>",
        "Contact: <sip:alias3@host3.example.com>",
    ),
    "3.1.1.6 lwsdisp": request("OPTIONS sip:user@example.com SIP/2.0", "From: caller<sip:caller@example.com>;tag=323"),
    "3.1.1.7 longreq": request(
        "INVITE sip:user@example.com SIP/2.0",
        f'To: "I have a user name of {LONG} proportion"<sip:user@example.com:6000;{LONG}=1;unknown{LONG}param>',
        f"From: sip:{LONG}@example.com;tag=12982{LONG}424;unknown{LONG}=unknown{LONG}value",
        f"Call-ID: longreq.one{LONG}callid",
        f"Unknown-{LONG}-Name: unknown-{LONG}-value; unknown-{LONG}-parameter=x",
        *[f"Via: SIP/2.0/TCP sip{n}.example.com;branch=z9hG4bK{LONG}{n}" for n in range(34)],
        f"Contact: <sip:amazinglylongcallername{LONG}@host5.example.net>",
        "Content-Type: application/sdp",
        body=SDP,
    ),
    "3.1.1.8 dblreq": request(
        "REGISTER sip:example.com SIP/2.0", "To: sip:j.user@example.com", "Contact: sip:j.user@h.example.com"
    )
    + request("INVITE sip:joe@example.com SIP/2.0", "Content-Type: application/sdp", body=SDP),
    "3.1.1.9 semiuri": request(
        "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", "To: sip:j_user@example.com"
    ),
    "3.1.1.10 transports": request(
        "OPTIONS sip:user@example.com SIP/2.0",
        *[
            f"Via: SIP/2.0/{name} t{n}.example.com;branch=z9hG4bK{n}x"
            for n, name in enumerate(("UDP", "SCTP", "TLS", "UNKNOWN", "TCP"))
        ],
    ),
    "3.1.1.11 mpart01": request(
        "MESSAGE sip:kumiko@example.org SIP/2.0",
        "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655",
        "MIME-Version: 1.0",
        body=b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nHello\r\n"
        b"--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        b"0\x82\x01R\x06\t*\x86H\r\n\x00\x01\x02--\r\n--7a9cbec02ceef655--",
    ),
    "3.1.1.12 unreason": message(
        "SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e - \u043f\u0440\u043e\u0441\u0442\u043e\u0435",
        "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923",
        "Call-ID: unreason.1234ksdfak3j2erwedfsASdf",
        "CSeq: 35 INVITE",
        "From: sip:user@example.com;tag=11141343",
        "To: sip:user@example.edu;tag=2229",
        "Contact: <sip:user@host198.example.com>",
    ),
    "3.1.1.13 noreason": message(
        "SIP/2.0 100 ",
        "Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe",
        "Call-ID: noreason.asndj203insdf99223ndf",
        "CSeq: 35 INVITE",
        "From: <sip:user@example.com>;tag=39ansfi3",
        "To: <sip:user@example.edu>;tag=902jndnke3",
    ),
}
"""RFC 4475 3.1.1: must be accepted."""

INVALID: dict[str, tuple[bytes, int]] = {
    "3.1.2.1 badinv01": (
        request(
            "INVITE sip:user@example.com SIP/2.0",
            'Contact: "Joe" <sip:joe@example.org>;;;;,;;,;',
            "Via: SIP/2.0/UDP 192.0.2.15;;,;,,",
        ),
        400,
    ),
    "3.1.2.2 clerr": (
        request("INVITE sip:user@example.com SIP/2.0", "Content-Length: 9999", length=False, body=SDP),
        400,
    ),
    "3.1.2.3 ncl": (
        request("INVITE sip:user@example.com SIP/2.0", "Content-Length: -999", length=False, body=SDP),
        400,
    ),
    "3.1.2.4 scalar02": (
        request(
            "REGISTER sip:example.com SIP/2.0",
            "CSeq: 36893488147419103232 REGISTER",
            "Max-Forwards: 300",
            "Expires: 10000000000000000000000000000000",
            "Contact: <sip:user@host129.example.com>;expires=280297596632815",
        ),
        400,
    ),
    "3.1.2.5 scalarlg": (
        message(
            "SIP/2.0 503 Service Unavailable",
            "Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bKzzxdiwo34sw",
            "To: <sip:user@example.com>",
            "From: <sip:other@example.net>;tag=2easdjfejw",
            "CSeq: 9292394834772304023312 OPTIONS",
            "Call-ID: scalarlg.noase0of0234hn2qofoaf0232aewf2394r",
            "Retry-After: 949302838503028349304023988",
            'Warning: 1812 overture "In Progress"',
        ),
        400,
    ),
    "3.1.2.6 quotbal": (
        request("INVITE sip:user@example.com SIP/2.0", 'To: "Mr. J. User <sip:j.user@example.com>'),
        400,
    ),
    "3.1.2.7 ltgtruri": (request("INVITE <sip:user@example.com> SIP/2.0"), 400),
    "3.1.2.8 lwsruri": (request("INVITE sip:user@example.com; lr SIP/2.0"), 400),
    "3.1.2.9 lwsstart": (request("INVITE  sip:user@example.com  SIP/2.0", method="INVITE"), 400),
    "3.1.2.10 trws": (request("OPTIONS sip:remote-target@example.com SIP/2.0  "), 400),
    "3.1.2.13 regbadct": (
        request("REGISTER sip:example.com SIP/2.0", "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"),
        400,
    ),
    "3.1.2.16 badvers": (
        request("OPTIONS sip:t.watson@example.org SIP/7.0", "Via: SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw"),
        505,
    ),
    "3.1.2.17 mismatch01": (request("OPTIONS sip:user@example.com SIP/2.0", "CSeq: 8 INVITE"), 400),
    "3.1.2.18 mismatch02": (request("NEWMETHOD sip:user@example.com SIP/2.0", "CSeq: 8 INVITE"), 400),
    "3.1.2.19 bigcode": (
        message(
            "SIP/2.0 4294967301 better not break the receiver",
            "Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe",
            "Call-ID: bigcode.asdof3uj203asdnf3429uasdhfas3ehjasdfas9i",
            "CSeq: 353494 INVITE",
            "From: <sip:user@example.com>;tag=39ansfi3",
            "To: <sip:user@example.edu>;tag=902jndnke3",
        ),
        400,
    ),
    "3.3.1 insuf": (request("INVITE sip:user@example.com SIP/2.0", without=("call-id", "from", "to")), 400),
    "3.3.8 multi01": (
        request(
            "INVITE sip:user@company.com SIP/2.0",
            "CSeq: 5 INVITE",
            "CSeq: 59 INVITE",
            "Call-ID: multi01.98asdh@192.0.2.1",
            "Call-ID: multi01.98asdh@192.0.2.2",
            "From: sip:caller@example.com;tag=3413415",
            "From: sip:caller@example.net;tag=2923420123",
            "Max-Forwards: 70",
            "Max-Forwards: 5",
        ),
        400,
    ),
    "3.3.9 mcl01": (
        request(
            "OPTIONS sip:user@example.com SIP/2.0",
            "Content-Length: 13",
            "Content-Length: 5",
            body="There's no way to know",
            length=False,
        ),
        400,
    ),
}
"""RFC 4475 3.1.2 and 3.3 messages that the parser itself refuses, with the status."""

LIBERAL: dict[str, bytes] = {
    "3.1.2.11 escruri": request("INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0"),
    "3.1.2.12 baddate": request("INVITE sip:user@example.com SIP/2.0", "Date: Fri, 01 Jan 2010 16:00:00 EST"),
    "3.1.2.14 badaspec": request(
        "OPTIONS sip:user@example.org SIP/2.0", 'To: "Watson, Thomas" < sip:t.watson@example.org >'
    ),
    "3.1.2.15 baddn": request(
        "OPTIONS sip:t.watson@example.org SIP/2.0", "To: Watson, Thomas <sip:t.watson@example.org>"
    ),
    "3.2.1 badbranch": request("OPTIONS sip:user@example.com SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"),
    "3.3.2 unkscm": request("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0"),
    "3.3.3 novelsc": request("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0"),
    "3.3.4 unksm2": request(
        "REGISTER sip:example.com SIP/2.0",
        "To: isbn:2983792873",
        "From: <http://www.example.com>;tag=3234233",
        "Contact: <name:John_Smith>",
    ),
    "3.3.5 bext01": request(
        "OPTIONS sip:user@example.com SIP/2.0",
        "Require: nothingSupportsThis, nothingSupportsThisEither",
        "Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis",
    ),
    "3.3.6 invut": request(
        "INVITE sip:user@example.com SIP/2.0", "Content-Type: application/unknownformat", body="<audio/>"
    ),
    "3.3.7 regaut01": request(
        "REGISTER sip:example.com SIP/2.0", "Authorization: NoOneKnowsThisScheme opaque-data=here"
    ),
    "3.3.10 bcast": message(
        "SIP/2.0 200 OK",
        "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923",
        "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23",
        "Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf",
        "CSeq: 35 INVITE",
        "From: sip:user@example.com;tag=11141343",
        "To: sip:user@example.edu;tag=2229",
    ),
    "3.3.11 zeromf": request("OPTIONS sip:user@example.com SIP/2.0", "Max-Forwards: 0"),
    "3.3.12 cparam01": request(
        "REGISTER sip:example.com SIP/2.0", "Contact: sip:+19725552222@gw1.example.net;unknownparam"
    ),
    "3.3.13 cparam02": request(
        "REGISTER sip:example.com SIP/2.0", "Contact: <sip:+19725552222@gw1.example.net;unknownparam>"
    ),
    "3.3.14 regescrt": request(
        "REGISTER sip:example.com SIP/2.0", "Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>"
    ),
    "3.3.15 sdp01": request("INVITE sip:user@example.com SIP/2.0", "Accept: text/nobodyKnowsThis"),
    "3.4.1 inv2543": request(
        "INVITE sip:UserB@example.com SIP/2.0",
        "Via: SIP/2.0/UDP iftgw.example.com",
        "From: <sip:+13035551111@ift.client.example.net;user=phone>",
        "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>",
        "Content-Type: application/sdp",
        without=("max-forwards",),
        body=SDP,
    ),
}
"""Messages that the RFC lets an element accept, or leaves to the layers above the parser."""

IPV6: dict[str, tuple[bytes, bool]] = {
    "4.1 ipv6-good": (
        request(
            "REGISTER sip:[2001:db8::10] SIP/2.0",
            "Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111",
            'Contact: "Caller" <sip:caller@[2001:db8::1]>',
        ),
        True,
    ),
    "4.2 ipv6-bad": (request("REGISTER sip:2001:db8::10 SIP/2.0"), False),
    "4.5 via-received-no-brackets": (
        request(
            "BYE sip:[2001:db8::10] SIP/2.0",
            "Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3",
        ),
        True,
    ),
    "4.6 via-received-brackets": (
        request(
            "OPTIONS sip:[2001:db8::10] SIP/2.0",
            "Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3",
        ),
        True,
    ),
    "4.10 mapped": (
        request("INVITE sip:user@example.com SIP/2.0", "Contact: <sip:user@[::ffff:192.0.2.10]:19823>", body=SDP),
        True,
    ),
}
"""RFC 5118: the message and whether it is accepted."""
