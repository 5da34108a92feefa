// What is going to happen, in the order of virtual time.

/// A queue of events by (time, order of insertion): two events of one instant happen in the order in which they were
/// added, so that nothing about a run is left to chance but its seed.
///
/// The heap moves small entries around; the events themselves stay where they were put.
struct EventHeap<Event> {
    private struct Entry {
        /// The time, below it the order of insertion, and below that the slot: as one number, whose order is that of
        /// the events.
        private let number: UInt128

        init(time: UInt64, sequence: UInt32, slot: Int) {
            number = UInt128(time) << 64 | UInt128(UInt64(sequence) << 32 | UInt64(UInt32(slot)))
        }

        var time: UInt64 { UInt64(truncatingIfNeeded: number >> 64) }
        var slot: Int { Int(UInt32(truncatingIfNeeded: number)) }

        func precedes(_ other: Entry) -> Bool { number < other.number }
    }

    private var entries: [Entry] = []
    private var events: [Event?] = []
    private var freeSlots: [Int] = []
    private var nextSequence: UInt32 = 0

    var count: Int { entries.count }

    /// Adds an event that happens at `time`.
    mutating func add(_ event: consuming Event, at time: UInt64) {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            events[slot] = event
        } else {
            slot = events.count
            events.append(event)
        }
        entries.append(Entry(time: time, sequence: nextSequence, slot: slot))
        nextSequence += 1
        rise(from: entries.count - 1)
    }

    /// Takes the earliest event out; nil when there is none.
    mutating func next() -> (time: UInt64, event: Event)? {
        guard let first = entries.first else { return nil }
        let last = entries.removeLast()
        if !entries.isEmpty { sink(last) }
        guard let event = events[first.slot].take() else { preconditionFailure("an entry of the heap has no event") }
        freeSlots.append(first.slot)
        return (first.time, event)
    }

    private mutating func rise(from position: Int) {
        entries.withUnsafeMutableBufferPointer { Self.rise($0[position], from: position, in: $0) }
    }

    /// Puts `entry` where it belongs between the root and `position`, whose place is free.
    private static func rise(_ entry: Entry, from position: Int, in entries: UnsafeMutableBufferPointer<Entry>) {
        var position = position
        while position > 0 {
            let parent = (position - 1) / 2
            guard entry.precedes(entries[parent]) else { break }
            entries[position] = entries[parent]
            position = parent
        }
        entries[position] = entry
    }

    /// Puts `entry` where it belongs while the root's place is free: that goes down to a leaf first, always to the
    /// earlier child, since what was the last entry mostly belongs near the leaves (Wegener's bottom-up heapsort).
    private mutating func sink(_ entry: Entry) {
        entries.withUnsafeMutableBufferPointer { entries in
            var position = 0
            var child = 2
            while child < entries.count {
                if entries[child - 1].precedes(entries[child]) { child -= 1 }
                entries[position] = entries[child]
                position = child
                child = 2 * position + 2
            }
            if child == entries.count {
                entries[position] = entries[child - 1]
                position = child - 1
            }
            Self.rise(entry, from: position, in: entries)
        }
    }
}
