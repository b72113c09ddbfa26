import { describe, expect, it } from "vitest";

import { barsOf, enlargement } from "./waveform";

describe("bars of a waveform", () => {
  it("takes the loudest of minimum and maximum in each part", () => {
    expect([...barsOf([-127, 0, 0, 0, 0, 63.5, 0, 0], 2, 0, 1)]).toEqual([1, 0.5]);
  });

  it("shows only the part that belongs to the conversation", () => {
    expect([...barsOf([0, 0, -127, 127, 0, 0, 0, 0], 1, 0.25, 0.5)]).toEqual([1]);
  });

  it("has a value for each bar when there are more bars than points", () => {
    expect(barsOf([-127, 127], 5, 0, 1)).toHaveLength(5);
  });

  it("stays flat without a waveform", () => {
    expect([...barsOf([], 2, 0, 1)]).toEqual([0, 0]);
  });
});

describe("enlargement", () => {
  it("makes a quiet call visible, at most five times", () => {
    expect(enlargement([[0, 63.5]])).toBe(2);
    expect(enlargement([[-1, 1]])).toBe(5);
    expect(enlargement([[]])).toBe(1);
  });
});
