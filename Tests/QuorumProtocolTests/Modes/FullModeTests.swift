// The mode `full`: PREPARE carries the block, and a server stores its fragment of it only if the block's encoding has
// all the hashes that the descriptor lists (after Cachin & Tessaro, DSN 2006).

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("In the mode full")
struct FullModeTests {
    static let shapes = [TestGroup.Shape(), TestGroup.Shape(faults: 2), TestGroup.Shape(dataFragmentCount: 8)]

    private func prepare(
        _ version: TestVersion, sending fragments: [SharedBytes], to server: Position
    ) -> Request {
        .prepare(
            Prepare(
                key: version.key, timestamp: version.timestamp, position: server, descriptor: version.descriptor,
                fragments: fragments))
    }

    @Test("every server stores its own fragment of the block it is sent, and serves that", arguments: shapes)
    func storesFragment(shape: TestGroup.Shape) {
        let group = shape.group(.full)
        let block = SharedBytes(Array("a block of some bytes".utf8))
        let encoded = group.quorums.code.encode(block: block)
        let version = group.version(.photo, "a block of some bytes", counter: 1)
        for server in group.servers {
            let host = ReplicaHost(group, server)
            guard case .prepared(let signed, _) = host.answer(prepare(version, sending: [block], to: server)) else {
                Issue.record("\(server) does not store")
                return
            }
            #expect(signed.claim == .stored)
            let reply = host.answer(.read(Read(key: .photo, version: version.timestamp, portion: .fragments)))
            guard case .version(_, let parts?) = reply else {
                Issue.record("\(server) does not serve")
                return
            }
            #expect(parts.fragments == [encoded[server.offset]], "\(server)")
        }
    }

    @Test("what is not the block that has all the hashes is refused, and nothing is stored", arguments: shapes)
    func refuses(shape: TestGroup.Shape) {
        let group = shape.group(.full)
        let text = "a block of some bytes"
        let bytes = Array(text.utf8)
        let version = group.version(.photo, text, counter: 1)
        let encoded = group.quorums.code.encode(block: SharedBytes(bytes))
        for server in group.servers {
            let host = ReplicaHost(group, server)
            var wrong: [[UInt8]] = [[], bytes + [0], Array(bytes.dropLast()), bytes.reversed()]
            for position in bytes.indices {
                var flipped = bytes
                flipped[position] ^= 1
                wrong.append(flipped)
            }
            // The fragment itself, as the other modes send it.
            wrong.append(encoded[server.offset].array)
            for bytes in wrong {
                #expect(
                    host.answer(prepare(version, sending: [SharedBytes(bytes)], to: server))
                        == .refused(.invalidFragment(StripeIndex(0), .encodingMismatch)), "\(server) takes \(bytes)")
            }
            #expect(
                host.answer(prepare(version, sending: [], to: server))
                    == .refused(.wrongFragmentCount(got: 0, expected: 1)))
            #expect(host.store == ReplicaHost(group, server).store)
        }
    }

    @Test("hashes that are no block's encoding are refused by every server, wherever the garbage is", arguments: shapes)
    func refusesPoison(shape: TestGroup.Shape) {
        let group = shape.group(.full)
        let text = "a block of some bytes"
        for victim in group.servers {
            let poison = group.poisonedVersion(.photo, text, garbageAt: victim, counter: 1)
            for server in group.servers {
                let host = ReplicaHost(group, server)
                for bytes in [SharedBytes(Array(text.utf8)), poison.fragments[server.offset][0]] {
                    #expect(
                        host.answer(prepare(poison, sending: [bytes], to: server), from: .client(.mallory))
                            == .refused(.invalidFragment(StripeIndex(0), .encodingMismatch)),
                        "\(server), garbage at \(victim)")
                }
            }
        }
    }

    @Test("a client that crashed K times finishes what it left behind, with whole blocks again", arguments: shapes)
    func completion(shape: TestGroup.Shape) {
        let simulation = Simulation(shape.group(.full))
        let group = simulation.group
        for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
            simulation.prepareAndCrash(
                "crash \(crash)", at: Array(group.servers.prefix(group.quorums.dataFragmentCount)))
        }
        for liar in group.servers.suffix(group.quorums.faults) { simulation.lies[liar] = { _, _, _ in [] } }
        let write = simulation.write("at last")
        #expect(write.wrote != nil, "\(String(describing: write.failure))")
        #expect(simulation.read().text == "at last")
    }
}
