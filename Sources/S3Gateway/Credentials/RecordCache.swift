// What gateways share, in memory for a while, so that not every request reads it from the cluster. Names that nobody has
// set anything under are made up by whoever likes to: they keep neither the cluster busy nor known ones out.

import QuorumClient
import Synchronization

final class RecordCache<Value: Sendable>: Sendable {
    private typealias Reading = Task<Result<Value?, ClientError>, Never>

    private struct Entry {
        /// Nil for a name that there is nothing under.
        let value: Value?
        let read: ContinuousClock.Instant
    }

    private struct State {
        var known: [String: Entry] = [:]
        var unknown: [String: Entry] = [:]
        /// By numbers: a change takes those away that began before it, and what they find is not kept.
        var readings: [String: (number: UInt64, task: Reading)] = [:]
        var nextNumber: UInt64 = 0
        /// Look-ups of names that were not known to have a value.
        var guesses = 0

        subscript(name: String) -> Entry? { known[name] ?? unknown[name] }

        mutating func forget(_ name: String) {
            known[name] = nil
            unknown[name] = nil
        }

        mutating func keep(_ entry: Entry, _ name: String) {
            forget(name)
            if entry.value != nil {
                if known.count >= countMax, let any = known.keys.first { known[any] = nil }
                known[name] = entry
            } else {
                if unknown.count >= countMax, let any = unknown.keys.first { unknown[any] = nil }
                unknown[name] = entry
            }
        }
    }

    /// How long a value that was changed elsewhere may still be used.
    static var freshSeconds: Int { 10 }
    /// Names that are kept, and as many again of those without a value.
    static var countMax: Int { 4096 }
    /// Names not known to have a value that are looked up at a time.
    static var guessesMax: Int { 32 }

    private let staleSeconds: Int
    private let read: @Sendable (String) async throws(ClientError) -> Value?
    private let state = Mutex(State())

    /// - Parameter staleSeconds: how long a value is used when the cluster does not answer.
    init(staleSeconds: Int = 0, _ read: @escaping @Sendable (String) async throws(ClientError) -> Value?) {
        self.staleSeconds = staleSeconds
        self.read = read
    }

    /// Nil when there is nothing under this name.
    ///
    /// - Throws: `.slowDown` while too many others are looked up, or the cluster does not answer.
    func value(_ name: String) async throws(S3Error) -> Value? {
        let now = ContinuousClock.now
        let (entry, reading) = state.withLock { state -> (Entry?, Reading?) in
            let entry = state[name]
            if let entry, now - entry.read < .seconds(Self.freshSeconds) { return (entry, nil) }
            if let reading = state.readings[name] { return (entry, reading.task) }
            let isGuess = entry?.value == nil
            guard !isGuess || state.guesses < Self.guessesMax else { return (nil, nil) }
            if isGuess { state.guesses += 1 }
            let number = state.nextNumber
            state.nextNumber += 1
            let reading = Reading { await self.reading(name, isGuess: isGuess, number) }
            state.readings[name] = (number, reading)
            return (entry, reading)
        }
        guard let reading else {
            guard let entry else { throw S3Error(.slowDown, "Please reduce your request rate.") }
            return entry.value
        }
        switch await reading.value {
        case .success(let value): return value
        case .failure(let error):
            if let entry, let value = entry.value, now - entry.read < .seconds(staleSeconds) { return value }
            throw S3Error(error)
        }
    }

    private func reading(_ name: String, isGuess: Bool, _ number: UInt64) async -> Result<Value?, ClientError> {
        let begin = ContinuousClock.now
        let result: Result<Value?, ClientError>
        do throws(ClientError) {
            result = .success(try await read(name))
        } catch {
            result = .failure(error)
        }
        state.withLock { state in
            if isGuess { state.guesses -= 1 }
            guard state.readings[name]?.number == number else { return }
            state.readings[name] = nil
            if case .success(let value) = result { state.keep(Entry(value: value, read: begin), name) }
        }
        return result
    }

    /// Called before and after a change of what is under a name.
    func forget(_ name: String) {
        state.withLock { state in
            state.forget(name)
            // Who asks from here on does not wait for what is older.
            state.readings[name] = nil
        }
    }

    /// How many names are kept, with a value and without.
    var counts: (known: Int, unknown: Int) { state.withLock { ($0.known.count, $0.unknown.count) } }
}
