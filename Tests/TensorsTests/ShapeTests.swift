import MartletTensors
import Testing

@Suite struct ShapeTests {
    @Test func rowsAndWidth() {
        let shape: Shape = [2, 3, 5]
        #expect(shape.elements == 30 && shape.rows == 6 && shape.width == 5 && shape.rank == 3)
        #expect(shape.array == [2, 3, 5] && shape.description == "[2, 3, 5]")
        #expect(shape != [30] && shape == Shape([2, 3, 5]))
        #expect(Shape([]).elements == 1)
    }

    @Test func whatComesFromOutsideIsChecked() {
        #expect(Shape(checked: [-1]) == nil)
        #expect(Shape(checked: [1, 1, 1, 1, 1]) == nil)
        #expect(Shape(checked: [Int.max, 2]) == nil)
        #expect(Shape(checked: [Int.max, 2, 0]) == nil)
        #expect(Shape(checked: [4, 0]) == [4, 0])
        #expect(ElementType.q4_0.block.checkedBytes(of: 33) == nil)
        #expect(ElementType.q4_0.block.checkedBytes(of: 64) == 36)
        #expect(ElementType.f32.block.checkedBytes(of: Int.max) == nil)
    }

    @Test func misuseTraps() async {
        await #expect(processExitsWith: .failure) { _ = Tensor([1, 2, 3], shape: [2]) }
        await #expect(processExitsWith: .failure) {
            let device = Device(threads: 1)
            _ = device.tensor([1, 2], shape: [2]) + device.tensor([1], shape: [1])
        }
        await #expect(processExitsWith: .failure) {
            let device = Device(threads: 1)
            let matrix = PackedMatrix(Tensor([1, 2], shape: [1, 2]), on: device)
            _ = device.tensor([1], shape: [1, 1]).multiplied(by: matrix)
        }
    }
}
