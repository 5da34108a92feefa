// Text of other people's making, shown on a terminal or in a log.

extension String {
    /// The text with a mark (U+FFFD) for each character that would move the cursor, end the line or turn the direction
    /// of what follows: it could make a terminal or a log say what nobody said.
    package var printable: String {
        guard unicodeScalars.contains(where: Self.isMasked) else { return self }
        return String(UnicodeScalarView(unicodeScalars.map { Self.isMasked($0) ? "\u{FFFD}" : $0 }))
    }

    /// The same of each of the text's lines, which stay lines.
    package var printableLines: String {
        split(separator: "\n", omittingEmptySubsequences: false).map { String($0).printable }.joined(separator: "\n")
    }

    private static func isMasked(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.value < 0x20 || scalar.value == 0x7F }
        switch scalar.value {
        case 0x80...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: return true
        default: return false
        }
    }
}
