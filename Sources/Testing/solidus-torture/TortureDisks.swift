// File systems of the servers' own, small enough to be filled, and what is to become of them next.
//
// A server whose disk is filled but for what puts leave is correct: it refuses puts, and nothing else. When all disks
// are filled so, reads and deletions have to go on, and puts again once there is room. The nemesis takes what is free;
// puts of the torture's own (TortureBallast) then take what the servers had set apart for puts before.

import CommandOutcome
import Foundation
import Glibc
import ObjectStorage
import SmallDisks
import Synchronization

/// The servers' file systems. The keeper's thread mounts, fills and frees them; the ballast follows from elsewhere.
final class TortureDisks: Sendable {
    /// What the disks are in, one after the other and again.
    enum Phase {
        case roomy
        /// Nothing is free beyond what puts leave; the ballast is to be put until that is refused.
        case filling
        /// Puts are refused.
        case full
        /// The ballast is to be deleted, while there is still no room for puts.
        case emptying
        /// It was; the nemesis is to give back what it took.
        case emptied
    }

    enum RoomChange: Sendable {
        case filling
        /// Puts are to complete again; `wasFull` says whether any was refused before.
        case roomAgain(wasFull: Bool)
    }

    /// What is below this would not have room for the reserve, the index and some segments.
    static let sizeMebibytesMin = 896

    /// Free bytes that puts leave.
    private static let reserveBytes = StorageOptions().reservedFreeBytes
    /// Beside the reserve: what puts need after a time in which the disks were full and took a segment or two.
    private static let roomBytes = 4 * StorageOptions().segmentSizeBytes

    private struct State {
        var phase = Phase.roomy
        var disks: [SmallDisk] = []
        /// What is left free on all disks while they are full.
        var leftBytes = 0
        var fullCount = 0
        var fullSince: ContinuousClock.Instant?
        var fullFor = Duration.zero
    }

    let sizeMebibytes: Int
    private let roomChanged: @Sendable (RoomChange) -> Void
    private let state = Mutex(State())

    /// - Parameter roomChanged: told before all disks are filled, and after they have room for puts again.
    init(sizeMebibytes: Int, roomChanged: @escaping @Sendable (RoomChange) -> Void) {
        self.sizeMebibytes = sizeMebibytes
        self.roomChanged = roomChanged
    }

    // MARK: Mounting

    /// Why file systems cannot be mounted here; nil when they can be.
    static var obstacle: String? {
        SmallDisk.isAvailable ? nil : "file systems of their own can only be mounted as root, where that may mount"
    }

    /// Moves the servers' stores onto file systems of their own. No server may be running.
    ///
    /// - Throws: `.inputOutput` when the system refuses, or has not the memory to fill all of them.
    func mount(over directories: [String]) throws(Failure) {
        let neededMebibytes = sizeMebibytes * directories.count
        if let free = Self.availableMebibytes, free < neededMebibytes {
            throw Failure(
                .inputOutput,
                "\(directories.count) disks of \(sizeMebibytes) MiB in memory need \(neededMebibytes) MiB, and "
                    + "\(free) MiB are free; take smaller ones or end something else")
        }
        for directory in directories {
            do {
                let disk = try SmallDisk(over: directory, sizeBytes: sizeMebibytes << 20)
                state.withLock { $0.disks.append(disk) }
            } catch {
                throw Failure(
                    .inputOutput,
                    "\(directory) cannot be moved onto a file system of its own (\(error)). If a torture was killed, "
                        + "it may lie on one still: stop the servers, copy what is there, unmount it, and copy it back")
            }
        }
    }

    /// Moves the stores back to where they were. No server may be running.
    ///
    /// - Returns: which could not be moved, and why; those stay mounted.
    func giveBack() -> [String] {
        let disks = state.withLock { state in
            defer { state.disks = [] }
            return state.disks
        }
        return disks.compactMap { disk in
            do {
                try disk.giveBack()
                return nil
            } catch {
                Self.kept.withLock { $0.append(disk) }
                return "\(disk.path) is on a file system in memory still, since it cannot be copied back: \(error). "
                    + "Copy what is there before you unmount it"
            }
        }
    }

    /// File systems that must outlive this process.
    private static let kept = Mutex<[SmallDisk]>([])

    private static var availableMebibytes: Int? {
        guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
            let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { return nil }
        return kibibytes >> 10
    }

    // MARK: Filling

    var phase: Phase { state.withLock { $0.phase } }

    /// How often all disks were so full that puts were refused, and for how long together.
    var full: (count: Int, duration: Duration) {
        state.withLock { state in
            (state.fullCount, state.fullFor + (state.fullSince.map { ContinuousClock.now - $0 } ?? .zero))
        }
    }

    /// Whether puts will be taken again after a time in which all disks were full.
    var haveRoom: Bool {
        state.withLock { $0.disks.allSatisfy { $0.freeBytes >= Self.reserveBytes + Self.roomBytes } }
    }

    /// Takes all that is free on every disk but a part of what puts leave. What frees space may use half of that.
    func fillAll(using generator: inout TortureGenerator) {
        roomChanged(.filling)
        let left = Int.random(in: Self.reserveBytes / 8 * 5...Self.reserveBytes / 8 * 7, using: &generator)
        state.withLock { state in
            state.leftBytes = left
            state.phase = .filling
        }
        keepFull()
    }

    /// Takes what was given back meanwhile.
    func keepFull() {
        let (disks, left) = state.withLock { $0.phase == .roomy ? ([], 0) : ($0.disks, $0.leftBytes) }
        for disk in disks { disk.fill(leavingBytes: left) }
    }

    /// Says that puts are refused now.
    func becameFull() {
        state.withLock { state in
            guard state.phase == .filling else { return }
            state.phase = .full
            state.fullCount += 1
            state.fullSince = .now
        }
    }

    /// Asks for the ballast to be deleted.
    func empty() {
        state.withLock { if [.filling, .full].contains($0.phase) { $0.phase = .emptying } }
    }

    /// Says that it was.
    func becameEmpty() {
        state.withLock { if $0.phase == .emptying { $0.phase = .emptied } }
    }

    /// Gives back what was taken of all disks.
    func release() {
        let (wasRoomy, wasFull) = state.withLock { state in
            defer {
                state.phase = .roomy
                state.fullSince = nil
            }
            for disk in state.disks { disk.release() }
            if let since = state.fullSince { state.fullFor += .now - since }
            return (state.phase == .roomy, state.fullSince != nil)
        }
        if !wasRoomy { roomChanged(.roomAgain(wasFull: wasFull)) }
    }

    /// Takes one disk to its last byte, and what is given back there: its server is not correct.
    func exhaust(_ index: Int) { disk(index)?.fill(leavingBytes: 0) }

    /// Gives back what was taken of one disk.
    func relieve(_ index: Int) { disk(index)?.release() }

    private func disk(_ index: Int) -> SmallDisk? {
        state.withLock { $0.disks.indices.contains(index) ? $0.disks[index] : nil }
    }
}
