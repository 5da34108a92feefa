// The places of connections whose handshake is not finished: whoever they are, they are strangers until then.
//
// A newcomer always gets a place. When there is none, a handshake drawn at random goes: of the newcomer's own source if
// that has as many as one may have, else of the source that has the most. A stranger who takes places all the time so
// mostly loses his own, and cannot tell which; the newest handshake, which a correct peer finishes within moments, is
// as safe as any other.

/// Unfinished handshakes by where they come from, bounded for each source and together.
struct HandshakeTable<ID: Hashable> {
    private let maximum: Int
    private let maximumPerSource: Int
    private var sources: [ID: SourceAddress] = [:]
    private var bySource: [SourceAddress: [ID]] = [:]

    /// A table with places for `maximum` handshakes, of which one source may have `maximumPerSource`.
    init(maximum: Int, maximumPerSource: Int) {
        precondition(maximum > 0 && maximumPerSource > 0)
        self.maximum = maximum
        self.maximumPerSource = maximumPerSource
    }

    /// Number of places taken.
    var count: Int { sources.count }

    /// Whether the handshake still has its place.
    func contains(_ id: ID) -> Bool { sources[id] != nil }

    /// Gives a place to a handshake that has none yet.
    ///
    /// - Returns: the handshake whose place it was, if none was free.
    mutating func add(_ id: ID, from source: SourceAddress, using generator: inout some RandomNumberGenerator) -> ID? {
        precondition(!contains(id), "a handshake has one place")
        var victim: ID?
        if let own = bySource[source], own.count >= maximumPerSource {
            victim = own.randomElement(using: &generator)
        } else if count >= maximum {
            let most = bySource.values.reduce(0) { max($0, $1.count) }
            let candidates = bySource.values.filter { $0.count == most }
            victim = candidates.randomElement(using: &generator)?.randomElement(using: &generator)
        }
        if let victim { remove(victim) }
        sources[id] = source
        bySource[source, default: []].append(id)
        return victim
    }

    /// Gives a handshake's place back; false when it had lost it before.
    @discardableResult
    mutating func remove(_ id: ID) -> Bool {
        guard let source = sources.removeValue(forKey: id) else { return false }
        bySource[source]?.removeAll { $0 == id }
        if bySource[source]?.isEmpty == true { bySource[source] = nil }
        return true
    }
}
