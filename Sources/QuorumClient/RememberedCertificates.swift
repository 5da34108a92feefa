// The certificates of a client's last writes: with one, the next write of the object is spared a round.

import QuorumProtocol
import Synchronization

/// A bounded memory of one certificate for each object.
///
/// Two generations: what is written goes into the young one; when that holds half of what may be kept, it becomes the
/// old one, and what was old is forgotten.
final class RememberedCertificates: Sendable {
    private struct State {
        var young: [ObjectKey: VerifiedCertificate] = [:]
        var old: [ObjectKey: VerifiedCertificate] = [:]
    }

    private let countMax: Int
    private let state = Mutex(State())

    /// - Parameter countMax: how many objects are remembered; below 2 none are.
    init(countMax: Int) {
        self.countMax = countMax
    }

    /// Takes the object's certificate out: whoever writes with it leaves a new one, or, having failed, none.
    func take(_ key: ObjectKey) -> VerifiedCertificate? {
        state.withLock { state in
            let old = state.old.removeValue(forKey: key)
            return state.young.removeValue(forKey: key) ?? old
        }
    }

    func put(_ certificate: VerifiedCertificate) {
        guard countMax >= 2 else { return }
        state.withLock { state in
            state.young[certificate.key] = certificate
            guard state.young.count >= countMax / 2 else { return }
            state.old = state.young
            state.young = [:]
        }
    }
}
