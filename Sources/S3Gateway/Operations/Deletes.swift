// DeleteObject and DeleteObjects.

import Solidus

extension Gateway {
    private static let keysAtOnceMax = 1000
    private static let deletionsUnderWay = 16

    func deleteObject(_ request: S3Request) async throws -> Response {
        let key = try request.objectKey()
        try Self.checkVersion(request)
        try await requireBucket(request.bucket)
        let conditions = try conditions(request)
        try await delete(key, request.key, conditions)
        return Response(.noContent)
    }

    private func delete(_ key: ObjectKey, _ name: String, _ conditions: WriteConditions) async throws {
        try await writing(key, conditions, name) { enter in
            try await enter()
            _ = try await client.delete(key)
        }
    }

    func deleteObjects(_ request: S3Request, _ body: RequestBody) async throws -> Response {
        let root = try XMLReader.read(try await document(request, body, needsDigest: true))
        guard root.name == "Delete" else { throw S3Error.malformedXML }
        let items = root.all("Object")
        guard (1...Self.keysAtOnceMax).contains(items.count) else { throw S3Error.malformedXML }
        let names = try items.map { item throws(S3Error) -> String in
            guard let name = item["Key"]?.text, !name.isEmpty else { throw .malformedXML }
            return name
        }
        try await requireBucket(request.bucket)
        let isQuiet = root.value("Quiet")?.lowercased() == "true"
        let bucket = request.bucket
        let errors = try await withThrowingTaskGroup(of: (Int, S3Error?).self) { group in
            var errors: [S3Error?] = names.map { _ in nil }
            for (place, name) in names.enumerated() {
                if place >= Self.deletionsUnderWay, let (done, error) = try await group.next() { errors[done] = error }
                let item = items[place]
                let (version, etag) = (item.value("VersionId"), item.value("ETag"))
                group.addTask { (place, await self.deletionError(bucket, name, version: version, etag: etag)) }
            }
            while let (done, error) = try await group.next() { errors[done] = error }
            return errors
        }
        return .xml { xml in
            xml.root("DeleteResult") { xml in
                for (name, error) in zip(names, errors) {
                    if let error {
                        xml.element("Error") { xml in
                            xml.text("Key", name)
                            xml.text("Code", error.code.rawValue)
                            xml.text("Message", error.message)
                        }
                    } else if !isQuiet {
                        xml.element("Deleted") { $0.text("Key", name) }
                    }
                }
            }
        }
    }

    private func deletionError(_ bucket: String, _ name: String, version: String?, etag: String?) async -> S3Error? {
        do {
            guard version == nil || version == "null" else {
                return S3Error(.noSuchVersion, "The specified version does not exist.")
            }
            let headers = RequestHeaders(etag.map { [(name: "if-match", value: $0)] } ?? [])
            let conditions = try WriteConditions(headers)
            guard conditions.isEmpty || settings.conditionalWrites == .singleGateway else {
                return .notImplemented("A conditional deletion")
            }
            try await delete(try Self.objectKey(bucket, name), name, conditions)
            return nil
        } catch {
            return S3Error(any: error)
        }
    }
}
