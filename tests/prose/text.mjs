// A text to be checked, whose characters know where in their file they are.

export class Text {
  constructor(file, source) {
    this.file = file;
    this.source = source;
    this.characters = [];
    this.offsets = [];
  }

  // Adds a part of the source, as it is.
  copy(from, to) {
    for (const character of this.source.slice(from, to)) {
      this.add(character, from);
      from += character.length;
    }
  }

  // Adds characters that stand for what is at the offset.
  add(characters, offset) {
    for (const character of characters) {
      this.characters.push(character);
      this.offsets.push(offset);
    }
  }

  // What comes next is another paragraph.
  paragraph(offset) {
    if (this.characters.length > 0) this.add('\n\n', offset);
  }

  // Code, which no rule looks into.
  code(offset) {
    this.add('`x`', offset);
  }

  // The line and column of a character.
  place(index) {
    const before = this.source.slice(0, this.offsets[index] ?? this.source.length).split('\n');
    return { line: before.length, column: [...before.at(-1)].length + 1 };
  }

  toString() {
    return this.characters.join('');
  }
}
