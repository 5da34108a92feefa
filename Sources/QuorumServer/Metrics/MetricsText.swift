// The text format in which Prometheus asks for metrics (version 0.0.4).

/// Builds such a text, one family after the other.
struct MetricsText {
    enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    private(set) var text = ""

    /// Begins a family.
    mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// A sample of the family that was begun last.
    mutating func sample(_ name: String, _ labels: KeyValuePairs<String, String>, _ value: Double) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.key)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",") + "}"
        }
        text += " \(Self.number(value))\n"
    }

    /// A family of one sample without labels.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
        begin(name, kind, help)
        sample(name, [:], value)
    }

    /// A family of one sample for each value of a label, in order.
    mutating func add(
        _ name: String, _ kind: Kind, _ help: String, by label: String, _ values: [(value: String, count: UInt64)]
    ) {
        begin(name, kind, help)
        for (value, count) in values.sorted(by: { $0.value < $1.value }) {
            sample(name, [label: value], Double(count))
        }
    }

    /// A sample of a histogram in seconds.
    mutating func sample(_ name: String, _ label: String, _ value: String, _ histogram: LatencyHistogram) {
        var count: UInt64 = 0
        for (place, bound) in LatencyHistogram.boundsNanoseconds.enumerated() {
            count += histogram.counts[place]
            sample("\(name)_bucket", [label: value, "le": Self.number(Double(bound) / 1e9)], Double(count))
        }
        count += histogram.counts[LatencyHistogram.boundsNanoseconds.count]
        sample("\(name)_bucket", [label: value, "le": "+Inf"], Double(count))
        sample("\(name)_sum", [label: value], Double(histogram.sumNanoseconds) / 1e9)
        sample("\(name)_count", [label: value], Double(count))
    }

    private static func escaped(_ value: String) -> String {
        value.reduce(into: "") { text, character in
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.append(character)
            }
        }
    }

    /// Counts without a fraction are written without one.
    private static func number(_ value: Double) -> String {
        Int64(exactly: value).map(String.init) ?? "\(value)"
    }
}
