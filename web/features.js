export function logMel(){}
