// One line that says how far a command is.

/// A count of bytes for people.
package func byteText(_ bytes: UInt64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var (value, unit) = (Double(bytes), 0)
    while value >= 1023.95, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
    return unit == 0 ? "\(bytes) B" : "\(tenths(value)) \(units[unit])"
}

private func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}

/// A time for people: 0:07, 12:30, 3:05:00.
package func durationText(seconds: UInt64) -> String {
    func two(_ number: UInt64) -> String { (number < 10 ? "0" : "") + "\(number)" }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60)
    return hours > 0 ? "\(hours):\(two(minutes)):\(two(seconds % 60))" : "\(minutes):\(two(seconds % 60))"
}

/// How far a command is: what was counted so far.
package struct ProgressCounts: Equatable, Sendable {
    package var doneBytes: UInt64 = 0
    package var doneItems = 0
    package var plannedBytes: UInt64 = 0
    package var plannedItems = 0
    package var failedItems = 0
    /// Whether nothing more will be found.
    package var isPlanComplete = false

    package init() {}
}

/// The bytes of some seconds ago, by which it is told how fast it goes now.
package struct ProgressRate: Sendable {
    private static let windowSeconds = 10.0
    private var samples: [(seconds: Double, bytes: UInt64)] = []

    package init() {}

    /// - Parameter seconds: since any moment that stays the same.
    package mutating func add(_ bytes: UInt64, at seconds: Double) {
        samples.append((seconds, bytes))
        while samples.count > 2, samples[1].seconds < seconds - Self.windowSeconds { samples.removeFirst() }
    }

    /// Nil before there is anything to tell.
    package var bytesPerSecond: Double? {
        guard let first = samples.first, let last = samples.last, last.seconds - first.seconds >= 0.5,
            last.bytes >= first.bytes
        else { return nil }
        return Double(last.bytes - first.bytes) / (last.seconds - first.seconds)
    }
}

extension ProgressCounts {
    /// The line. Sources that grow, and what is sent again, never make it more than all.
    ///
    /// - Parameters:
    ///   - name: of the one object that this is about; nil for many.
    ///   - columns: of the terminal; the line stays below.
    package func line(name: String?, rate: Double?, columns: Int) -> String {
        let done = doneBytes
        let all = max(plannedBytes, doneBytes)
        let more = isPlanComplete ? "" : "+"
        var parts: [String] = []
        if let name {
            parts.append(name)
        } else {
            parts.append("\(doneItems) of \(max(plannedItems, doneItems))\(more)")
        }
        parts.append(
            all > done || name == nil ? "\(byteText(done)) of \(byteText(all))\(more)" : byteText(done))
        if isPlanComplete, let percent { parts.append("\(percent) %") }
        if let rate { parts.append("\(byteText(UInt64(max(0, rate))))/s") }
        if isPlanComplete, let rate, rate > 0, all > done {
            parts.append("\(durationText(seconds: UInt64((Double(all - done) / rate).rounded(.up)))) left")
        }
        if failedItems > 0 { parts.append("\(failedItems) FAILED") }
        return Self.fit(parts.joined(separator: "  "), columns: columns - 1)
    }

    /// Of the bytes, or, where there are none, of the items; 100 only when all is done.
    private var percent: Int? {
        if plannedBytes > 0 {
            let percent = Int(Double(min(doneBytes, plannedBytes)) / Double(plannedBytes) * 100)
            return doneItems < plannedItems ? min(percent, 99) : min(percent, 100)
        }
        return plannedItems > 0 ? min(100, doneItems * 100 / plannedItems) : nil
    }

    /// What of a text fits in so many columns; wide letters take two.
    static func fit(_ text: String, columns: Int) -> String {
        var left = max(0, columns)
        var shown = ""
        for character in text {
            let width = width(of: character)
            guard width <= left else { break }
            shown.append(character)
            left -= width
        }
        return shown
    }

    private static func width(of character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first else { return 0 }
        if scalar.properties.generalCategory == .nonspacingMark { return 0 }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}
