// Stores the files of a folder that are not in the bucket as they are, several at a time, and deletes from the bucket what
// is not in the folder any more.

import Foundation
import Solidus

guard CommandLine.arguments.count == 4 else { fatalError("usage: backup CLUSTER-DIRECTORY FOLDER BUCKET") }
let (folder, bucket) = (CommandLine.arguments[2], CommandLine.arguments[3])

/// How many files are under way at a time.
let filesAtATime = 4

/// The files below a folder, by their paths in it.
func files(in folder: String) -> [String] {
    let paths = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    return paths.filter { path in
        let attributes = try? FileManager.default.attributesOfItem(atPath: "\(folder)/\(path)")
        return attributes?[.type] as? FileAttributeType == .typeRegular
    }
}

/// Stores a file unless the object has its length and time of modification. Whether it did.
func backUp(_ path: String, _ stored: ListedObject?, _ client: ObjectClient) async throws -> Bool {
    let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(path)")
    if let stored, let size = attributes[.size] as? UInt64, let modified = attributes[.modificationDate] as? Date {
        // The object's time is that of the file when it was stored. A Date is rounded to less than a millisecond.
        let milliseconds = modified.timeIntervalSince1970 * 1000
        if stored.lengthBytes == size, abs(milliseconds - Double(stored.modifiedMilliseconds)) <= 1 { return false }
    }
    try await client.put(ObjectKey("\(bucket)/\(path)"), fromFile: "\(folder)/\(path)")
    return true
}

try await withObjectClient(home: ClientHome(clusterDirectory: CommandLine.arguments[1])) { client in
    if try await !client.bucketExists(bucket) { try await client.createBucket(bucket) }
    var stored: [String: ListedObject] = [:]
    for try await entry in try client.list(bucket) {
        if case .object(let object) = entry { stored[String(object.key.text.dropFirst(bucket.count + 1))] = object }
    }

    let paths = files(in: folder)
    var storedCount = 0
    try await withThrowingTaskGroup(of: Bool.self) { group in
        for (number, path) in paths.enumerated() {
            if number >= filesAtATime, try await group.next() == true { storedCount += 1 }
            let known = stored[path]
            group.addTask { try await backUp(path, known, client) }
        }
        for try await hasStored in group where hasStored { storedCount += 1 }
    }

    let gone = Set(stored.keys).subtracting(paths)
    for path in gone { try await client.delete(ObjectKey("\(bucket)/\(path)")) }
    print("\(storedCount) stored, \(paths.count - storedCount) unchanged, \(gone.count) deleted")
}
