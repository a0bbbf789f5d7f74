// Numbers as people read them.

export const percent = (value) => `${Math.round(value * 100)} %`;

/** Two significant digits, without an exponent: 250, 3.2, 0.0041; and 0 for what is next to nothing. */
export const short = (value) => (Math.abs(value) < 1e-6 ? "0" : String(Number(value.toPrecision(2))));
