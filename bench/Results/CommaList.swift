// Lists as people write them.

/// "1,16,64": values between commas, none of them twice.
package struct CommaList<Element: Hashable & Sendable>: Sendable {
    package let elements: [Element]

    package init(_ elements: [Element]) {
        self.elements = elements
    }

    /// Nil when an element is none, comes twice, or there is none at all.
    package init?(_ text: String, element: (String) -> Element?) {
        var elements: [Element] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let parsed = element(String(part)), !elements.contains(parsed) else { return nil }
            elements.append(parsed)
        }
        guard !elements.isEmpty else { return nil }
        self.elements = elements
    }
}

extension CommaList: CustomStringConvertible {
    package var description: String { elements.map { "\($0)" }.joined(separator: ",") }
}
