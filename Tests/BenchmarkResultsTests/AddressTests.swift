// Address ranges, and which of them are free.

import BenchmarkResults
import Testing

@Suite("Free addresses")
struct AddressTests {
    @Test(
        "ranges read as routes are printed",
        arguments: [
            ("10.213.4.0/24", "10.213.4.0/24"), ("192.0.2.7", "192.0.2.7/32"), ("10/8", "10.0.0.0/8"),
            ("10.1.2.3/16", "10.1.0.0/16"), ("0.0.0.0/0", "0.0.0.0/0"), ("255.255.255.255/32", "255.255.255.255/32"),
        ])
    func reads(text: String, expected: String) {
        #expect(AddressRange(text[...])?.description == expected)
    }

    @Test(
        "what is no range is refused",
        arguments: [
            "", "/", "default", "10", "10.1", "1.2.3.4.5", "256.1.1.1", "1.2.3.4/33", "1.2.3.4/-1", "1..3.4", "a/8",
        ])
    func refuses(text: String) {
        #expect(AddressRange(text[...]) == nil)
    }

    @Test(
        "the first range that no route but the default one overlaps with is taken",
        arguments: [
            ("", "10.213.0.0/24"), ("default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0", "10.213.0.0/24"),
            ("10.213.0.0/23 dev a\n", "10.213.2.0/24"), ("local 10.213.0.9 dev a table local", "10.213.1.0/24"),
            ("10.213.0.0/24 dev a\nbroadcast 10.213.1.255 dev b table local", "10.213.2.0/24"),
            ("0.0.0.0/0 dev a", "10.213.0.0/24"), ("10.0.0.0/8 dev vpn", nil), ("unreachable 10.213.0.0/16", nil),
        ] as [(String, String?)])
    func unused(routes: String, expected: String?) {
        #expect(AddressRange.unused(routes: routes)?.description == expected)
    }

    @Test("addresses of a range are counted from its first")
    func addresses() throws {
        let range = try #require(AddressRange("10.213.7.0/24"))
        #expect(range.address(1) == "10.213.7.1")
        #expect(range.address(254) == "10.213.7.254")
    }
}
