import ErasureCode
import HostileClients
import QuorumClient
import QuorumProtocol

/// A correct client that does what it may, as fast as it can: half of its operations PUTs, half GETs. Whatever others
/// suffer from it is their share of a busy cluster, and no attack.
struct BusyClient: Attack {
    private static let underWay = 32
    private static let objectCount = 64
    private static let valueSizeBytes = 64 << 10

    func run(by attacker: Attacker) async {
        guard let client = try? ObjectClient(home: attacker.home) else { return }
        let value = RandomBytes.block(sizeBytes: Self.valueSizeBytes)
        await withTaskGroup(of: Void.self) { tasks in
            for slot in 0..<Self.underWay {
                tasks.addTask {
                    while let server = attacker.home.cluster.servers.first?.node,
                        (try? await attacker.waitForTurn(at: server)) != nil
                    {
                        guard let key = try? ObjectKey("busy/\(slot)/\(Int.random(in: 0..<Self.objectCount))") else {
                            return
                        }
                        // It asks for what may not be there yet, and nothing here depends on its success.
                        let put = try? await client.put(key, value)
                        let got = try? await client.get(key)
                        attacker.tally.count { counters in
                            counters.answers["put", default: 0] += put == nil ? 0 : 1
                            counters.answers["get", default: 0] += got == nil ? 0 : 1
                        }
                    }
                }
            }
        }
        await client.close()
    }
}
